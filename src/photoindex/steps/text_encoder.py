"""Texts to vectors in the space of an OpenCLIP model's pictures, without torch: what a search command needs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from photoindex.errors import ModelBroken
from photoindex.models.spec import InstalledModel
from photoindex.records import AUTOMATIC, FloatArray, RuntimeOptions
from photoindex.runtimes.choose import open_session
from photoindex.steps.forms import Forms, read_forms
from photoindex.steps.quick_tokenizer import QuickTokenizer
from photoindex.steps.text_cleaning import clean_text

_BATCH = 32


class TextEncoder:
    """The text tower of an embedding model (or of the one that a tags model leans on), from its prepared forms."""

    def __init__(self, installed: InstalledModel, options: RuntimeOptions = AUTOMATIC) -> None:
        """`options.threads`: None chooses for one short query; give the number of cores for many texts.

        Raises ModelMissing without weights, ModelBroken where the forms have not been made or are not usable,
        RuntimeRefused and RuntimeUnavailable.
        """
        self._forms = read_forms(installed)
        if "text" in self._forms.refused:
            name = self._forms.model
            raise ModelBroken(name, self._forms.refused["text"], f"photoindex models pull {name}")
        self._tokenizer = Tokenizer(self._forms)
        told = dataclasses.replace(options, threads=options.threads or query_threads(self._forms))
        self._session = open_session(self._forms.text, options=told, purpose="search", kept_in=self._forms.folder)

    @property
    def width(self) -> int:
        return self._forms.width

    @property
    def logit_scale(self) -> float:
        return self._forms.logit_scale

    @property
    def runtime(self) -> str:
        return self._session.runtime

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """float32 (len(texts), width), each row L2-normalised."""
        vectors = np.empty((len(texts), self.width), np.float32)
        rows = self._tokenizer.encode(texts)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for first in range(0, len(order), _BATCH):
            picked = order[first : first + _BATCH]
            ids = self._tokenizer.pad([rows[index] for index in picked])
            vectors[picked] = self._session.run({"ids": ids})["vectors"]
        return vectors

    def close(self) -> None:
        self._session.close()


def query_threads(forms: Forms) -> int:
    """A trimmed query is over before more threads than one have started; one padded to the whole context is not."""
    return 1 if forms.trim else min(4, os.cpu_count() or 1)


class Tokenizer:
    """Token ids equal to those of OpenCLIP's tokenizer for the model, from the `tokenizers` library alone."""

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._whole: Any = None
        self._quick = QuickTokenizer(forms.folder) if (forms.folder / "quick.json").is_file() else None

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text with what the model wants around them, cut to the context, not padded."""
        cleaned = [clean_text(text, self._forms.clean) for text in texts]
        cut = self._forms.context if self._forms.end is None else None
        if self._quick is not None and self._quick.suits(cleaned):
            return [self._frame(ids) for ids in self._quick.encode(cleaned, cut)]
        return [self._frame(encoding.ids) for encoding in self._load(cut).encode_batch(cleaned)]

    def _load(self, cut: int | None) -> Any:
        """The whole tokenizer: a tenth of a second for CLIP's vocabulary, up to a whole one for larger ones."""
        if self._whole is None:
            from tokenizers import Tokenizer as Rust

            self._whole = Rust.from_file(str(self._forms.tokenizer))
            self._whole.no_padding()
            self._whole.no_truncation()
            if cut is not None:
                self._whole.enable_truncation(cut)
        return self._whole

    def pad(self, rows: Sequence[list[int]]) -> npt.NDArray[np.int64]:
        """Rows as one array (n, tokens): as long as the longest where the model allows it, else the whole context."""
        forms = self._forms
        length = max(map(len, rows), default=1) if forms.trim else forms.context
        ids = np.full((len(rows), length), forms.pad, np.int64)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        return ids

    def _frame(self, ids: list[int]) -> list[int]:
        start, end = self._forms.start, self._forms.end
        if start is None or end is None:
            return ids
        return [start, *ids[: self._forms.context - 2], end]
