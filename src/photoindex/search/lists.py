"""The ranked lists of a search: photos by the words of their text, and by the nearness of their vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from photoindex.errors import NoVectors, PhotoindexError, RuntimeRefused
from photoindex.models.identity import fingerprint
from photoindex.models.install import locate
from photoindex.models.registry import DEFAULT_PROFILE, Registry
from photoindex.models.spec import InstalledModel
from photoindex.pure.query.tree import Term
from photoindex.records import FloatArray, RuntimeOptions
from photoindex.runtimes.selection import check_runtime, runtime_for
from photoindex.search.meaning import sum_of
from photoindex.search.nearest import SUM, background, by_vector
from photoindex.search.options import SearchOptions
from photoindex.search.words import Answers, by_tags, by_text, merged
from photoindex.store.library import Library, vectors_version
from photoindex.store.vectors import image_table

# How deep each list is taken into the fusion: a photo low in one may be first in the other.
DEPTH_FACTOR, MIN_DEPTH = 5, 200
# So many good matches are counted; with --limit 0 every photo is listed.
COUNTED, DEEPEST = 2_000, 10_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the ranked lists are made for.

    `texts`: the words to rank by; of several, each photo counts by the one it fits best. `among`: the photos that
    pass the filters, newest first; None where there is no filter. `terms`: instead of texts, a sum of meanings.
    `fits`: of several files of a photo, the one with the highest is shown, see `search.naming`.
    """

    texts: tuple[str, ...]
    among: Collection[int] | None = None
    terms: tuple[Term, ...] = ()
    fits: Callable[[str], int] = lambda _: 0


@dataclass(frozen=True, slots=True)
class RankedList:
    """One list, best first.

    Of the list of vectors, `model` is the embedding model and `vectors` (n, width) are what the photos were
    compared with, L2-normalised.
    """

    answers: Answers
    model: str | None = None
    vectors: FloatArray | None = None


class Models:
    """The models that encode what is asked, found when first needed."""

    def __init__(self, library: Library, registry: Registry, models_dir: Path, options: SearchOptions) -> None:
        self._library, self._registry, self._models_dir = library, registry, models_dir
        check_runtime(options.runtime, ["embedding"])
        self._runtime = RuntimeOptions(runtime=runtime_for(options.runtime, "embedding"), tell=options.warn)

    def embedding(self) -> str:
        """The model whose vectors the library is searched by. Raises NoVectors with what to do."""
        settings = self._library.catalog.settings()
        model = settings.get("embedding_model")
        if model is None or not self._library.vectors.has(image_table(model)):
            raise NoVectors(_how_to_get_vectors(self._registry, settings.get("profile", DEFAULT_PROFILE)))
        return model

    def vectors(self, model: str, asked: Asked) -> FloatArray:
        """What to compare photos with: float32 (n, width), L2-normalised, one row a text, or one for a sum.

        Raises NoVectors with the reason, and for pictures that cannot be had what `sum_of` raises.
        """
        if not asked.terms:
            return self.encode_texts(model, asked.texts)
        encoders = partial(self.encode_texts, model), partial(self.encode_pictures, model)
        return sum_of(self._library, model, asked.terms, *encoders)

    def encode_texts(self, model: str, texts: Sequence[str]) -> FloatArray:
        """float32 (n, width), L2-normalised. Raises NoVectors with the reason, RuntimeRefused."""
        from photoindex.steps.kept_encoder import encode_texts

        installed = self._installed(model)
        try:
            return encode_texts(installed, self._runtime, [text.encode(errors="ignore").decode() for text in texts])
        except RuntimeRefused:
            raise
        except PhotoindexError as error:
            raise NoVectors(f"the text model of {model} cannot be used. {error}") from error

    def encode_pictures(self, model: str, paths: Sequence[str]) -> FloatArray:
        """float32 (n, width), L2-normalised. Raises NoVectors with the reason, PictureUnreadable."""
        from photoindex.steps.picture_encoder import PictureEncoder

        installed = self._installed(model)
        try:
            encoder = PictureEncoder(installed)
        except PhotoindexError as error:
            raise NoVectors(f"the image model of {model} cannot be used. {error}") from error
        with closing(encoder):
            return encoder.encode(paths)

    def _installed(self, model: str) -> InstalledModel:
        version = self._library.catalog.settings().get(vectors_version(image_table(model)))
        try:
            installed = locate(self._registry, self._registry.model(model), self._models_dir)
            if version is None or version == fingerprint(installed):
                return installed
        except PhotoindexError as error:
            raise NoVectors(f"the text model of {model} cannot be used. {error}") from error
        raise NoVectors(f"those it has were made by another version of {model}. Scan again to make new ones.")


def ranked_lists(library: Library, asked: Asked, models: Models, options: SearchOptions) -> dict[str, RankedList]:
    """The lists `text`, `tags` and `vector`, as far as the mode asks for them.

    In mode hybrid a library without vectors gives the first two, and `options.warn` is told so; in mode semantic
    that raises NoVectors.
    """
    depth = max(MIN_DEPTH, DEPTH_FACTOR * options.limit) if options.limit else DEEPEST
    lists = {}
    with ThreadPoolExecutor(2) as pool:
        # The last list first: it takes longest, above all where the model has to be loaded.
        last = {} if options.mode == "keyword" else {"vector": pool.submit(by_meaning, library, asked, models, depth)}
        jobs = {}
        if options.mode != "semantic":
            jobs["text"] = pool.submit(by_words, library, asked, options)
            jobs["tags"] = pool.submit(by_tag, library, asked, options)
        for name, job in (jobs | last).items():
            try:
                lists[name] = job.result()
            except NoVectors as error:
                if options.mode == "semantic":
                    raise
                options.warn(f"{error} Searching the text only.")
    return lists


def by_words(library: Library, asked: Asked, options: SearchOptions) -> RankedList:
    """Photos whose text holds the words: those with all of a text's first, then those with some."""
    depth = COUNTED if options.limit else DEEPEST
    return RankedList(merged([by_text(library, text, depth, asked.among, options.everything) for text in asked.texts]))


def by_tag(library: Library, asked: Asked, options: SearchOptions) -> RankedList:
    """Photos with the tags that the words name."""
    depth = COUNTED if options.limit else DEEPEST
    return RankedList(merged([by_tags(library, text, depth, asked.among) for text in asked.texts]))


def by_meaning(library: Library, asked: Asked, models: Models, depth: int) -> RankedList:
    """Photos whose image vector is nearest to a text's. Raises NoVectors with the reason."""
    model = models.embedding()
    vectors = models.vectors(model, asked)
    known = None if asked.terms else background(library, model)
    told = (SUM,) if asked.terms else ()
    found = [by_vector(library, model, vector, depth, asked.among, known, *told) for vector in vectors]
    return RankedList(merged(found), model, vectors)


def _how_to_get_vectors(registry: Registry, profile: str) -> str:
    wanted = registry.profiles.get(profile, {}).get("embedding")
    if wanted is None:
        return f"the profile {profile!r} names no embedding model; scan again with another --profile."
    return f"it has no image vectors. Run `photoindex models pull {wanted}`, then scan again."
