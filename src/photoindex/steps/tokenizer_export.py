"""tokenizer.json for the `tokenizers` library, so that a search command tokenizes without OpenCLIP."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from photoindex.runtimes.openclip import CannotBuild

START, END = "<start_of_text>", "<end_of_text>"
# The word pattern of CLIP's tokenizer (Radford et al. 2021), as OpenCLIP's SimpleTokenizer has it.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"

Reference = Callable[[list[str]], Any]


def write_tokenizer(target: Path, folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], Reference]:
    """Write `target`; returns what Forms must know (start, end, pad) and OpenCLIP's own tokenizer to compare with.

    `folder` holds the model's files, `config` is OpenCLIP's text_cfg. Raises CannotBuild for tokenizers with rules
    of their own and where tokenizer.json is not among the model's files.
    """
    if config.get("hf_tokenizer_name"):
        return _hugging_face(target, folder, config)
    return _clip(target, config)


def _clip(target: Path, config: dict[str, Any]) -> tuple[dict[str, Any], Reference]:
    from open_clip import SimpleTokenizer
    from open_clip.tokenizer import default_bpe

    kept = config.get("tokenizer_kwargs") or {}
    if kept.keys() - {"clean"}:
        raise CannotBuild(f"its tokenizer has options of its own ({', '.join(kept)})")
    reference = SimpleTokenizer(context_length=config.get("context_length", 77), **kept)
    merges = gzip.decompress(Path(default_bpe()).read_bytes()).decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    target.write_text(json.dumps(_clip_json(reference.encoder, merges), ensure_ascii=False), encoding="utf-8")
    return {"start": reference.sot_token_id, "end": reference.eot_token_id, "pad": 0}, reference


def _clip_json(vocabulary: dict[str, int], merges: list[str]) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Removed", "invert": True}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    special = [
        {"id": vocabulary[word], "content": word, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for word in (START, END)
    ]  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, to_bytes]},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocabulary, "merges": merges},
    }


def _hugging_face(target: Path, folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], Reference]:
    """The installed tokenizer.json as it is, with the reference that OpenCLIP makes of the same folder."""
    from open_clip.tokenizer import HFTokenizer

    kept = config.get("tokenizer_kwargs") or {}
    if config.get("tokenizer_mode") or kept.keys() - {"clean"}:
        raise CannotBuild("its tokenizer has rules of its own, which are not supported")
    if not (folder / "tokenizer.json").is_file():
        raise CannotBuild("tokenizer.json is not among its files")
    shutil.copyfile(folder / "tokenizer.json", target)
    try:
        reference = HFTokenizer(str(folder), context_length=config.get("context_length", 77), **kept)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotBuild(f"its tokenizer does not load ({error})") from error
    return {"start": None, "end": None, "pad": int(reference.tokenizer.pad_token_id or 0)}, reference
