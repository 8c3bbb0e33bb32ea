"""The text encoder that was used last, kept open: a process that goes on searching loads its weights once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from photoindex.models.identity import fingerprint
from photoindex.models.spec import InstalledModel
from photoindex.records import FloatArray, RuntimeOptions
from photoindex.steps.text_encoder import TextEncoder

_turn = threading.Lock()
_kept: dict[tuple[str, str, str | None], TextEncoder] = {}


def encode_texts(installed: InstalledModel, options: RuntimeOptions, texts: Sequence[str]) -> FloatArray:
    """float32 (len(texts), width), each row L2-normalised. Raises what `TextEncoder` does."""
    key = (str(installed.path), fingerprint(installed), options.runtime)
    with _turn:
        encoder = _kept.pop(key, None)
        if encoder is None:
            _close()
            encoder = TextEncoder(installed, options)
        try:
            vectors = encoder.encode(texts)
        except BaseException:
            encoder.close()
            raise
        _kept[key] = encoder
        return vectors


def _close() -> None:
    while _kept:
        _kept.popitem()[1].close()
