"""What vectors to compare photos with: those of texts, or a sum of texts and pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from photoindex.errors import PhotoNotFound, QueryInvalid, UsageError
from photoindex.media.reach import unreachable
from photoindex.pure.query.tree import Sum, Term
from photoindex.records import FloatArray
from photoindex.store.library import Library
from photoindex.store.vectors import image_table

Encode = Callable[[Sequence[str]], FloatArray]
_LEAST_LENGTH = 1e-3


def sum_of(
    library: Library, model: str, terms: Sequence[Term], encode_texts: Encode, encode_pictures: Encode
) -> FloatArray:
    """float32 (1, width): the weighted sum of the terms' unit vectors, L2-normalised.

    A picture of the library is not encoded again. Raises QueryInvalid where nothing is left of the sum,
    PhotoNotFound, PhotoAmbiguous, PictureUnreadable.
    """
    texts = list(dict.fromkeys(term.text for term in terms if term.like is None))
    vectors = dict(zip(texts, encode_texts(texts), strict=True)) if texts else {}
    pictures = _pictures(library, model, [term.like for term in terms if term.like is not None], encode_pictures)
    signed = [(-1 if term.minus else 1) * float(term.weight) for term in terms]
    parts = [vectors[term.text] if term.like is None else pictures[term.like] for term in terms]
    total = np.stack([sign * unit(part) for sign, part in zip(signed, parts, strict=True)]).sum(axis=0)
    if np.linalg.norm(total) < _LEAST_LENGTH:
        whole = str(Sum(tuple(terms)))
        raise QueryInvalid("These cancel each other out: nothing is left to search for.", whole, (0, len(whole)))
    return unit(total)[None]


def unit(vector: FloatArray) -> FloatArray:
    scaled: FloatArray = np.asarray(vector, np.float32) / max(float(np.linalg.norm(vector)), 1e-12)
    return scaled


def _pictures(library: Library, model: str, names: Sequence[str], encode: Encode) -> dict[str, FloatArray]:
    """Vectors by what the pictures were called: from the library where it has them, else from the files."""
    known = {name: photo_id for name in names if (photo_id := known_photo(library, name)) is not None}
    stored = library.vectors.vectors_of(image_table(model), set(known.values()))
    found = {name: stored[photo_id].astype(np.float32) for name, photo_id in known.items() if photo_id in stored}
    others = list(dict.fromkeys(name for name in names if name not in found))
    files = [_readable_file(library, name, known.get(name)) for name in others]
    return {**found, **dict(zip(others, encode(files), strict=True))} if others else found


def known_photo(library: Library, name: str) -> int | None:
    """The photo of the library at a path, or whose SHA-256 begins so; None where it has none. Raises PhotoAmbiguous."""
    try:
        return library.queries.find(_absolute(name))[0]
    except PhotoNotFound:
        pass
    if os.path.exists(_absolute(name)):
        return None
    try:
        return library.queries.find(name)[0]
    except PhotoNotFound:
        return None


def _readable_file(library: Library, name: str, photo_id: int | None) -> str:
    """A file with the picture: the one named, or one of a photo that the library knows but has no vector of."""
    path = _absolute(name)
    if os.path.exists(path):
        return path
    if photo_id is None:
        raise PhotoNotFound(name)
    row = library.queries.rows([photo_id], unreachable).get(photo_id)
    if row is None or row.missing:
        raise UsageError(f"The library has no vector of {name}, and its files are missing.")
    return row.path


def _absolute(name: str) -> str:
    return os.path.abspath(os.path.expanduser(name)) if "\0" not in name else name
