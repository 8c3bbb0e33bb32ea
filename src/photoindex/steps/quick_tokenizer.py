"""Token ids for a short text without loading a vocabulary of up to 256,000 words, which takes up to a second.

Byte-pair encoding (Sennrich et al. 2016) can only ever form tokens that are substrings of the text it is given. So
the few tokens and merges that a text can meet are looked up in sorted, memory-mapped arrays of 64-bit hashes, and
the `tokenizers` library runs with a vocabulary of these alone: the ids are those of the whole tokenizer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST_TEXT = 200
_ARRAYS = ("token_hash", "token_id", "merge_hash", "merge_rank")
Hashes = npt.NDArray[np.uint64]


def write_tables(tokenizer: Path, folder: Path) -> bool:
    """Write the lookup tables of a tokenizer.json into `folder`; False where its kind does not allow it."""
    described = json.loads(tokenizer.read_text(encoding="utf-8"))
    model = described["model"]
    if model.get("type") != "BPE" or model.get("continuing_subword_prefix") or model.get("dropout"):
        return False
    vocabulary: dict[str, int] = model["vocab"]
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    added = {token["content"]: token["id"] for token in described["added_tokens"]}
    always = {token: number for token, number in vocabulary.items() if _always(token, model)} | added
    longest = max(map(len, vocabulary.keys() - added.keys()))
    described["model"] = model | {"vocab": always, "merges": []}
    kept = {"tokenizer": described, "added": list(added), "longest": longest}
    (folder / "quick.json").write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    tokens = _sorted(list(vocabulary), list(vocabulary.values()))
    pairs = _sorted(["\0".join(merge) for merge in merges], range(len(merges)))
    arrays: list[npt.NDArray[Any]] = [*tokens, *pairs]
    for name, array in zip(_ARRAYS, arrays, strict=True):
        np.save(folder / f"quick_{name}.npy", array)
    return True


class QuickTokenizer:
    """Encodes short texts from the tables in `folder`."""

    def __init__(self, folder: Path) -> None:
        kept = json.loads((folder / "quick.json").read_text(encoding="utf-8"))
        self._described: dict[str, Any] = kept["tokenizer"]
        self._added: list[str] = kept["added"]
        self._longest: int = kept["longest"]
        self._suffix = self._described["model"].get("end_of_word_suffix") or ""
        self._tables = {name: np.load(folder / f"quick_{name}.npy", mmap_mode="r") for name in _ARRAYS}
        self._shell = _rust(self._described)

    def suits(self, texts: Sequence[str]) -> bool:
        """Whether this pays and is exact: few short texts, and none that spells out one of the special tokens."""
        short = sum(map(len, texts)) <= LONGEST_TEXT
        return short and not any(token in text for text in texts for token in self._added)

    def encode(self, texts: Sequence[str], context: int | None) -> list[list[int]]:
        """The ids of each text, cut to `context` tokens the tokenizer's own way where that is given."""
        words = {word for text in texts for word in self._words(text)}
        vocabulary = self._look_up("token", words)
        ranks = self._look_up("merge", _splits(vocabulary))
        merges = [list(pair.split("\0")) for pair in sorted(ranks, key=lambda pair: ranks[pair])]
        model = self._described["model"]
        whole = model | {"vocab": model["vocab"] | vocabulary, "merges": merges}
        rust = _rust(self._described | {"model": whole})
        if context is not None:
            rust.enable_truncation(context)
        return [encoding.ids for encoding in rust.encode_batch(list(texts))]

    def _words(self, text: str) -> Iterable[str]:
        """Everything a token of this text could be."""
        normal = self._shell.normalizer.normalize_str(text) if self._shell.normalizer else text
        split = self._shell.pre_tokenizer
        for piece in [each for each, _ in split.pre_tokenize_str(normal)] if split else [normal]:
            for start in range(len(piece)):
                for end in range(start + 1, min(len(piece), start + self._longest) + 1):
                    yield piece[start:end]
                if self._suffix:
                    yield piece[start:] + self._suffix

    def _look_up(self, kind: str, keys: Iterable[str]) -> dict[str, int]:
        listed = list(keys)
        hashes, values = self._tables[f"{kind}_hash"], self._tables["token_id" if kind == "token" else "merge_rank"]
        wanted = _hashes(listed)
        at = np.minimum(np.searchsorted(hashes, wanted), max(0, len(hashes) - 1))
        found = hashes[at] == wanted if len(hashes) else np.zeros(len(listed), bool)
        return {listed[index]: int(values[at[index]]) for index in np.flatnonzero(found)}


def _rust(described: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(described))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _splits(vocabulary: dict[str, int]) -> list[str]:
    """Every way to put a token of the vocabulary together from two others of it, as `left NUL right`."""
    return [
        f"{token[:cut]}\0{token[cut:]}"
        for token in vocabulary
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]


def _always(token: str, model: dict[str, Any]) -> bool:
    """Tokens that stand for what is not in the text itself: single bytes, and the unknown."""
    is_byte = bool(model.get("byte_fallback")) and len(token) == 6 and token.startswith("<0x")
    return is_byte or token == model.get("unk_token")


def _sorted(keys: list[str], values: Sequence[int]) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    hashes = _hashes(keys)
    order = np.argsort(hashes)
    return hashes[order], np.asarray(values, np.uint32)[order]


def _hashes(keys: Sequence[str]) -> Hashes:
    joined = b"".join(hashlib.blake2b(key.encode("utf-8"), digest_size=8).digest() for key in keys)
    return np.frombuffer(joined, np.uint64)
