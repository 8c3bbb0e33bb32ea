"""Texts as OpenCLIP's tokenizers see them: repaired, unescaped, lower case.

The three ways are those of `open_clip.tokenizer`: "lower" (CLIP), "whitespace" (Hugging Face tokenizers) and
"canonicalize" (SigLIP: punctuation removed as in big_vision's evaluators).
"""

from __future__ import annotations

import html
import string

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def clean_text(text: str, how: str) -> str:
    """`text` cleaned in the way that OpenCLIP calls `how`: lower, whitespace or canonicalize."""
    repaired = _repair(text)
    if how == "canonicalize":
        repaired = repaired.replace("_", " ").translate(_PUNCTUATION)
    repaired = " ".join(repaired.split())
    return repaired if how == "whitespace" else repaired.lower()


def _repair(text: str) -> str:
    # Printable ASCII without entities is what nearly every query is, and ftfy leaves it as it is: spare its import.
    if text.isascii() and text.isprintable() and "&" not in text:
        return text.strip()
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()
