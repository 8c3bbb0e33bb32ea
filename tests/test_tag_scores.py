"""Tags are what the thresholds let through of the kept scores: the same when saved as when derived again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Shell
from photoindex.records import Analysed, Candidate, FoundFile, Outcome, Tag, TagRule, photo_id_of
from photoindex.scan.documents import write_due_documents
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS, SCHEMA
from tag_rule import lets_through

MODEL = "tagger"
CANDIDATES = (Candidate("dog", 0.9, 5.0), Candidate("grass", 0.5, 3.0), Candidate("ball", 0.25, 1.0))


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def tagged(name: str, tags: tuple[Tag, ...], model: str = MODEL) -> Analysed:
    file = FoundFile(f"/p/{name}.jpg", "/p", 1, 1, 1, 1)
    return Analysed(file, sha(name), (Outcome("tags", 1, "done", tags, model),))


def shown(library: Library, name: str) -> list[str]:
    return [tag.name for tag in library.queries.details(photo_id_of(sha(name))).tags]


def put(library: Library, rule: TagRule) -> None:
    library.tag_scores.put_rule(MODEL, rule, rule, applied=False)


RULES: Mapping[str, tuple[TagRule, list[str]]] = {
    "a threshold for all": (TagRule(0.5), ["dog", "grass"]),
    "a threshold of its own, above": (TagRule(0.1, {"dog": 0.95}), ["grass", "ball"]),
    "a threshold of its own, below": (TagRule(0.6, {"ball": 0.2}), ["dog", "ball"]),
    "standing out": (TagRule(0.0, standing=3.0), ["dog", "grass"]),
    "one's own threshold needs no standing out": (TagRule(0.0, {"ball": 0.25}, standing=4.0), ["dog", "ball"]),
    "the best": (TagRule(0.0, most=1), ["dog"]),
    "nothing": (TagRule(1.0), []),
}


@pytest.mark.parametrize(("rule", "left"), RULES.values(), ids=RULES)
def test_the_rule_in_force_chooses_when_saving_and_when_deriving_again(
    library: Library, rule: TagRule, left: list[str]
) -> None:
    library.save([tagged("before", CANDIDATES)])
    assert shown(library, "before") == ["dog", "grass", "ball"]  # no rule yet
    put(library, rule)
    library.save([tagged("after", CANDIDATES)])
    assert shown(library, "after") == left
    assert not library.tag_scores.is_applied(MODEL)
    assert list(library.tag_scores.derive_all(MODEL)) == [(2, 0 if len(left) == 3 else 1)]
    assert shown(library, "before") == left
    assert library.tag_scores.is_applied(MODEL)


def test_scores_of_models_that_tell_no_standing_and_photos_without_tags_are_kept(library: Library) -> None:
    put(library, TagRule(0.5))
    library.save([tagged("plain", (Tag("dog", 0.9), Tag("cat", 0.4))), tagged("empty", ())])
    assert (shown(library, "plain"), shown(library, "empty")) == (["dog"], [])
    put(library, TagRule(0.4))
    assert list(library.tag_scores.derive_all(MODEL)) == [(2, 1)]
    assert (shown(library, "plain"), shown(library, "empty")) == (["dog", "cat"], [])


def test_rules_come_back_as_they_were_put(library: Library) -> None:
    ours, theirs = TagRule(0.25, {"dog": 0.5}, 2.0, 10), TagRule(0.125, {"dog": 0.5, "cat": 0.75}, 2.0, 10)
    library.tag_scores.put_rule(MODEL, theirs, ours, applied=True)
    assert library.tag_scores.in_force(MODEL) == ours
    assert library.tag_scores.given(MODEL) == theirs
    assert library.tag_scores.in_force("other") is None


def test_photos_of_another_model_and_documents_that_stay_right_are_left_alone(library: Library) -> None:
    library.save([tagged("a", CANDIDATES), tagged("b", (Candidate("dog", 0.9),)), tagged("c", CANDIDATES, "other")])
    write_due_documents(library)
    put(library, TagRule(0.6))
    assert list(library.tag_scores.derive_all(MODEL)) == [(2, 1)]
    assert library.catalog.documents_due() == [photo_id_of(sha("a"))]
    assert shown(library, "c") == ["dog", "grass", "ball"]


def test_a_photo_tagged_again_has_its_new_scores_only(library: Library) -> None:
    library.save([tagged("a", CANDIDATES)])
    library.save([tagged("a", (Candidate("cat", 0.5),), "other")])
    assert library.tag_scores.models() == {"other": 1}
    assert shown(library, "a") == ["cat"]


scores = st.floats(0, 1, width=32)
candidates = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(scores, st.floats(-3, 9, width=32)), max_size=8)
rules = st.builds(
    TagRule,
    at_least=scores,
    own=st.dictionaries(st.sampled_from("abcd"), scores, max_size=4),
    standing=st.none() | st.floats(-2, 5, width=32),
    most=st.none() | st.integers(1, 8),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rule=rules, photos=st.lists(candidates, min_size=1, max_size=4))
def test_what_is_shown_is_what_the_rule_says(library: Library, rule: TagRule, photos: list[Any]) -> None:
    given = [
        sorted((Candidate(name, *numbers) for name, numbers in photo.items()), key=lambda tag: -tag.score)
        for photo in photos
    ]
    put(library, rule)
    library.save([tagged(str(n), tuple(tags)) for n, tags in enumerate(given)])
    for n, tags in enumerate(given):
        details = library.queries.details(photo_id_of(sha(str(n))))
        assert sorted(tag.name for tag in details.tags) == sorted(tag.name for tag in lets_through(rule, tags))


# --- libraries of before --------------------------------------------------------------------------------------------


def old_library(folder: Path) -> None:
    """A library as the first schema left it, with one tagged photo."""
    folder.mkdir(parents=True)
    photo_id = photo_id_of(sha("old"))
    with duckdb.connect(folder / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        MIGRATIONS[0](con)
        con.execute("INSERT INTO schema_migrations VALUES (1, now()::TIMESTAMP)")
        con.execute("INSERT INTO photos VALUES (?, ?, 10, now()::TIMESTAMP)", [photo_id, sha("old")])
        con.execute("INSERT INTO tags VALUES (?, 'dog', 0.9, 'tagger')", [photo_id])
        con.execute(
            "INSERT INTO ledger VALUES (?, 'tags', 1, 'done', 'tagger', 'r', 1.0, NULL, NULL, now()::TIMESTAMP, 1)",
            [photo_id],
        )


def test_a_library_of_the_first_schema_keeps_its_tags_and_tells_how_many_have_no_scores(tmp_path: Path) -> None:
    old_library(tmp_path / "old")
    with Library.writing(tmp_path / "old") as library:
        assert shown(library, "old") == ["dog"]
        assert library.tag_scores.photos_without_scores() == 1
        put(library, TagRule(0.95))
        assert list(library.tag_scores.derive_all(MODEL)) == []
        assert shown(library, "old") == ["dog"]


def test_a_command_that_only_reads_upgrades_an_older_library_first(run: Shell) -> None:
    old_library(run.folder)
    run("status")
    assert run.rows("SELECT count(*) FROM photos") == [(1,)]
    assert run.rows("SELECT max(version) FROM schema_migrations") == [(SCHEMA,)]
    assert run.rows("SELECT * FROM tag_scores") == []


def test_an_older_library_that_is_being_written_is_busy(run: Shell) -> None:
    from filelock import FileLock

    old_library(run.folder)
    with FileLock(run.folder / "writer.lock"):
        assert "is being written" in run("status", code=11).err
