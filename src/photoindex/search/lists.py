"""The ranked lists of a search: photos by the words of their text, and by the nearness of their vectors."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from photoindex.errors import NoVectors, PhotoindexError
from photoindex.models.identity import fingerprint
from photoindex.models.install import locate
from photoindex.models.registry import DEFAULT_PROFILE, Registry
from photoindex.pure.fold import tokens
from photoindex.records import FloatArray
from photoindex.search.options import SearchOptions
from photoindex.store.library import Library, vectors_version
from photoindex.store.vectors import Scored, image_table

# How deep each list is taken into the fusion: a photo low in one may be first in the other.
DEPTH_FACTOR, MIN_DEPTH = 5, 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What the ranked lists are made for.

    `texts`: the words to rank by; of several, each photo counts by the one it fits best. `among`: the photos that
    pass the filters, newest first; None where there is no filter.
    """

    texts: tuple[str, ...]
    among: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class RankedList:
    """One list, best first: photo ids with the list's own score (BM25, or cosine similarity).

    Of the list of vectors, `model` is the embedding model and `vectors` (n, width) are what the photos were
    compared with, L2-normalised.
    """

    scored: Scored
    model: str | None = None
    vectors: FloatArray | None = None


class Models:
    """The models that encode what is asked, found when first needed."""

    def __init__(self, library: Library, registry: Registry, models_dir: Path) -> None:
        self._library, self._registry, self._models_dir = library, registry, models_dir

    def embedding(self) -> str:
        """The model whose vectors the library is searched by. Raises NoVectors with what to do."""
        settings = self._library.catalog.settings()
        model = settings.get("embedding_model")
        if model is None or not self._library.vectors.has(image_table(model)):
            raise NoVectors(_how_to_get_vectors(self._registry, settings.get("profile", DEFAULT_PROFILE)))
        return model

    def encode_texts(self, model: str, texts: tuple[str, ...]) -> FloatArray:
        """float32 (n, width), L2-normalised. Raises NoVectors with the reason."""
        from photoindex.steps.text_encoder import TextEncoder

        version = self._library.catalog.settings().get(vectors_version(image_table(model)))
        try:
            installed = locate(self._registry, self._registry.model(model), self._models_dir)
            if version is None or version == fingerprint(installed):
                return TextEncoder(installed).encode(texts)
        except PhotoindexError as error:
            raise NoVectors(f"the text model of {model} cannot be used. {error}") from error
        raise NoVectors(f"those it has were made by another version of {model}. Scan again to make new ones.")


def ranked_lists(library: Library, asked: Asked, models: Models, options: SearchOptions) -> dict[str, RankedList]:
    """The lists `vector` and `text`, as far as the mode asks for them.

    In mode hybrid a library without vectors gives `text` alone, and `options.warn` is told so; in mode semantic
    that raises NoVectors.
    """
    depth = max(MIN_DEPTH, DEPTH_FACTOR * options.limit)
    lists = {}
    with ThreadPoolExecutor(2) as pool:
        jobs = {}
        if options.mode != "keyword":
            jobs["vector"] = pool.submit(by_meaning, library, asked, models, depth)
        if options.mode != "semantic":
            jobs["text"] = pool.submit(by_words, library, asked, depth)
        for name, job in jobs.items():
            try:
                lists[name] = job.result()
            except NoVectors as error:
                if options.mode == "semantic":
                    raise
                options.warn(f"{error} Searching the text only.")
    return lists


def by_words(library: Library, asked: Asked, depth: int) -> RankedList:
    """Photos whose text holds the words: those with all of a text's first, then those with some."""
    return RankedList(_best([_words_met(library, text, depth, asked.among) for text in asked.texts], depth))


def by_meaning(library: Library, asked: Asked, models: Models, depth: int) -> RankedList:
    """Photos whose image vector is nearest to a text's. Raises NoVectors with the reason."""
    model = models.embedding()
    vectors = models.encode_texts(model, asked.texts)
    found = [library.vectors.nearest(image_table(model), vector, depth, asked.among) for vector in vectors]
    merged = sorted(_best_scores(found).items(), key=lambda scored: -scored[1])[:depth]
    return RankedList(merged, model, vectors)


def _words_met(library: Library, text: str, depth: int, among: Collection[int] | None) -> list[Scored]:
    words = " ".join(tokens(text))
    complete = library.vectors.matching(words, depth, every=True, among=among)
    if len(complete) >= depth or " " not in words:
        return [complete]
    return [complete, library.vectors.matching(words, depth, every=False, among=among)]


def _best(found: list[list[Scored]], depth: int) -> Scored:
    """All that hold every word of one of the texts, best first, then all that hold some."""
    ranked: dict[int, float] = {}
    for tier in range(2):
        scores = _best_scores([lists[tier] for lists in found if len(lists) > tier])
        for photo_id, score in sorted(scores.items(), key=lambda scored: -scored[1]):
            ranked.setdefault(photo_id, score)
    return list(ranked.items())[:depth]


def _best_scores(lists: list[Scored]) -> dict[int, float]:
    best: dict[int, float] = {}
    for scored in lists:
        for photo_id, score in scored:
            best[photo_id] = max(score, best.get(photo_id, score))
    return best


def _how_to_get_vectors(registry: Registry, profile: str) -> str:
    wanted = registry.profiles.get(profile, {}).get("embedding")
    if wanted is None:
        return f"the profile {profile!r} names no embedding model; scan again with another --profile."
    return f"run `photoindex models pull {wanted}`, then scan again."
