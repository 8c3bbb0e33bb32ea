"""Words as they are compared: one spelling for accents, case, width and dotted i, pairs of characters for scripts
that write no spaces. The same on the side of documents and of queries, for an index that splits at white space.

A word is a run of letters and digits: IMG_2023-05.jpg is img 2023 05 jpg, 12.50 is 12 50, A4 is a4.
Runs of Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese become overlapping pairs: 東京都 is 東京 京都.
English plurals meet their singular (Harman's "s stemmer", 1991, with the endings -ches, -xes, -oes and -sses
added); other endings stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

_SPELLINGS = str.maketrans(
    {"\N{LATIN SMALL LETTER DOTLESS I}": "i", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t"}
    | {"æ": "ae", "œ": "oe", "þ": "th"}
    # Arabic and Persian: one yeh, one kaf, one heh, one alef; the stretching line is no letter.
    | {"\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0629": "\u0647", "\u0671": "\u0627", "\u0640": ""}
    # Apostrophes that Unicode counts as letters: the okina of Hawaii, the Ukrainian apostrophe.
    | dict.fromkeys("\u02b9\u02bb\u02bc\u02bd\u02be\u02bf", "")
)
# Before compatibility forms are opened: ™ and ℠ are no letters of the word before them, U+200B stands for a space.
_SPACES = str.maketrans("™℠\u200b", "   ")
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUNS = re.compile(f"([{_UNSPACED}]+)|[^{_UNSPACED}]+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_JOINED = re.compile(r"\d+(?:[-.,:/'\u2019\u00a0\u202f]\d+)+|[^\W\d_]+(?:[-'\u2019][^\W\d_]+)+")
_PLURAL = re.compile("(?<![sui])s$")
_NO_PLURAL = frozenset({"lens", "news"})


class _Characters(dict[int, str]):
    """What becomes of a character once decomposed and case-folded; worked out when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = _character(chr(code))
        return self[code]


def _character(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Cf" or ord(char) in _VARIATION_SELECTORS:
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    if kind[0] == "M":
        # Accents, Hebrew points and Arabic vowel signs go; Indic, Thai and kana marks are part of the spelling.
        place = unicodedata.combining(char)
        return "" if 10 <= place <= 36 or place >= 200 else char
    return char.translate(_SPELLINGS) if kind[0] in "LN" else " "


_CHARACTERS = _Characters()


def fold(text: str) -> str:
    """The text in the one spelling in which words are compared, words parted by single spaces.

    Unicode's compatibility decomposition, full case folding, no accents, one i, digits as 0 to 9.
    """
    opened = unicodedata.normalize("NFKD", text.translate(_SPACES)).casefold()
    return " ".join(unicodedata.normalize("NFC", opened.translate(_CHARACTERS)).split())


def tokens(text: str) -> list[str]:
    """The words of a query or a document, in order. All of a query's must be among a document's to meet it."""
    return [token for word in fold(text).split() for token in _split(word)]


def document(text: str) -> str:
    """What to index for a text: its tokens, then other ways to ask for them, each parted by a space.

    The parts of joined words (PizzaReceipt2023: pizza, receipt, 2023), split ones whole (wi-fi: wifi, 1,250: 1250,
    56 km: 56km), and single characters of unspaced scripts, so that 猫 finds 子猫. They stand last, so that words
    that follow each other still do.
    """
    words = tokens(text)
    return " ".join(words + sorted(set(_other_ways(text)).difference(words)))


def _split(word: str) -> Iterator[str]:
    for run in _RUNS.finditer(word):
        chars = run.group()
        if run.group(1):
            yield from (chars[k : k + 2] for k in range(max(1, len(chars) - 1)))
        else:
            yield _singular(chars)


def _other_ways(text: str) -> Iterator[str]:
    yield from tokens(_CAMEL.sub(" ", text))
    for joined in _JOINED.findall(text):
        yield from tokens("".join(_PARTS.findall(joined)))
    words = fold(text).split()
    for one, next_one in pairwise(words):
        if (one.isdecimal() and next_one.isalpha()) or (one.isalpha() and next_one.isdecimal()):
            yield from _split(one + next_one)
    for run in _RUNS.finditer(" ".join(words)):
        yield from run.group(1) or ""


def _singular(word: str) -> str:
    """An English word without its plural ending, the same for both; anything else as it is."""
    if len(word) < 4 or word in _NO_PLURAL or not (word.isascii() and word.isalpha()):
        return word
    stem = word
    if word.endswith(("ies", "ie")) and len(word) > 4:
        stem = word.removesuffix("s").removesuffix("ie") + "y"
    elif word.endswith(("se", "xe", "ze", "che", "she", "oe")) or _PLURAL.search(word):
        stem = word[:-1]
    return stem if stem == word else _singular(stem)
