"""File names that tell that a file is a copy."""

from __future__ import annotations

import pytest

from photoindex.pure.keep import choose_name
from photoindex.pure.names import is_copy_name
from photoindex.records import PhotoRow


@pytest.mark.parametrize(
    "mark", ["(copy)", "(Kopie)", "- Copy", "- Kopie", "(another copy)", "(3rd copy)", "(3. Kopie)"]
)
@pytest.mark.parametrize("number", ["", " 2", " (2)"])
def test_names_that_end_in_copy(mark: str, number: str) -> None:
    assert is_copy_name(f"/p/q {mark}{number}.jpg")
    paths = (f"/p/q {mark}{number}.jpg", "/p/a quite longer real name.jpg")
    rows = [PhotoRow("", 0, path, 1, 8, 6, "JPEG", None, None) for path in paths]
    assert choose_name(rows)[0].endswith("real name.jpg")


@pytest.mark.parametrize("name", ["q (copy 2).jpg", "q(Kopie 12).jpg"])
def test_a_number_within_the_brackets(name: str) -> None:
    assert is_copy_name(name)


@pytest.mark.parametrize("name", ["(photocopy).jpg", "q (hard copyright).jpg", "copy.jpg", "the copy shop.jpg"])
def test_names_that_only_have_such_a_word(name: str) -> None:
    assert not is_copy_name(name)
