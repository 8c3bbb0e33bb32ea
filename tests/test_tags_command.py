"""`photoindex tags`: thresholds that are set, changed in models.toml and applied, without any model."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import Shell, install_tiny_clip
from photoindex.models.registry import load_registry
from photoindex.pure.tag_rules import in_force
from photoindex.records import Candidate, Tag, TagRule
from photoindex.scan.documents import write_due_documents
from photoindex.scan.tagging import begin_tagging
from photoindex.store.library import Library
from test_tag_scores import old_library, sha, tagged

MODEL = "zero-shot-tiny-clip"
KEPT = {
    "a": (Candidate("car", 0.8, 6.0), Candidate("tree", 0.15, 4.0), Candidate("cup", 0.05, 3.0)),
    "b": (Candidate("tree", 0.6, 6.0), Candidate("car", 0.09, 2.0), Candidate("pizza", 0.08, 0.5)),
}


@pytest.fixture
def album(run: Shell) -> Shell:
    """Two photos as the small zero-shot model would have tagged them; its rule: 0.1, standing 1.5, the best five."""
    install_tiny_clip(run)
    registry = load_registry(run.home / "models.toml")
    with Library.writing(run.folder) as library:
        library.catalog.set_setting("profile", "tiny")
        begin_tagging(library, registry.model(MODEL), run.home / "models")
        library.save([tagged(name, tags, MODEL) for name, tags in KEPT.items()])
        write_due_documents(library)
    return run


def tags_of(run: Shell, name: str) -> list[str]:
    return [tag["name"] for tag in run("show", sha(name), "--format", "json").json["tags"]]


def found(run: Shell, *arguments: str) -> list[str]:
    hits = run("search", *arguments, "--mode", "keyword", "--format", "json").json
    return sorted(Path(hit["path"]).stem for hit in hits)


def applied(run: Shell) -> Any:
    return run("tags", "apply", "--format", "json").json


def test_a_lower_minimum_brings_tags_back_once_applied_also_for_searching(album: Shell) -> None:
    assert (tags_of(album, "a"), tags_of(album, "b")) == (["car", "tree"], ["tree"])
    assert "photoindex tags apply" in album("tags", "set", "--minimum", "0.05").err
    assert found(album, "cup") == []
    assert applied(album) == [{"model": MODEL, "photos": 2, "changed": 2, "stale": False}]
    assert (tags_of(album, "a"), tags_of(album, "b")) == (["car", "tree", "cup"], ["tree", "car"])
    assert found(album, "cup") == ["a"]
    assert found(album, "--tag", "car") == ["a", "b"]
    assert applied(album)[0]["changed"] == 0


def test_a_tags_own_threshold_wins_and_can_be_forgotten(album: Shell) -> None:
    album("tags", "set", "TREE", "0.5")
    album("tags", "set", "pizza", "0.08")
    applied(album)
    assert (tags_of(album, "a"), tags_of(album, "b")) == (["car"], ["tree", "pizza"])
    rows = album("tags", "thresholds", "--format", "json").json
    assert rows == [
        {"tag": None, "model": 0.1, "yours": None, "applied": 0.1},
        {"tag": "pizza", "model": None, "yours": 0.08, "applied": 0.08},
        {"tag": "tree", "model": None, "yours": 0.5, "applied": 0.5},
    ]
    assert "1 threshold of yours is forgotten" in album("tags", "reset", "Pizza").err
    album("tags", "reset")
    applied(album)
    assert (tags_of(album, "a"), tags_of(album, "b")) == (["car", "tree"], ["tree"])
    assert "You have set: none" in album("tags", "reset", "tree", code=2).err


def test_a_threshold_changed_in_models_toml_is_told_and_applied(album: Shell) -> None:
    assert "thresholds" not in album("status").err
    registry = album.home / "models.toml"
    registry.write_text(registry.read_text().replace("probability = 0.1", "probability = 0.7"))
    assert "`photoindex tags apply` applies them" in album("status").err
    assert tags_of(album, "b") == ["tree"]
    applied(album)
    assert (tags_of(album, "a"), tags_of(album, "b")) == (["car"], [])
    assert "thresholds" not in album("status").err


def test_applying_that_was_broken_off_is_told_and_done_again(album: Shell) -> None:
    album("tags", "set", "--minimum", "0.05")
    rule = in_force(TagRule(0.1, standing=1.5, most=5), {None: 0.05})
    with Library.writing(album.folder) as library:
        library.tag_scores.put_rule(MODEL, rule, rule, applied=False)
    assert "was broken off" in album("status").err
    assert applied(album)[0]["changed"] == 2
    assert album("status").err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set"], "Give a tag and a score, or --minimum"),
        (["set", "tree"], "Give a tag and a score, or --minimum"),
        (["set", "tree", "0.5", "--minimum", "0.5"], "Give a tag and a score, or --minimum"),
        (["set", "treee", "0.5"], "has no tag 'treee'. Did you mean 'tree'"),
        (["set", "tree", "1.5"], "scores are from 0 to 1"),
        (["set", "tree", "nan"], "scores are from 0 to 1"),
        (["set", "tree", "0.001"], "scores below 0.005 are not kept"),
        (["set", "tree", "0.5", "--model", "tiny-clip"], "tiny-clip gives no tags"),
    ],
)
def test_what_cannot_be_set_is_said(album: Shell, arguments: Sequence[str], message: str) -> None:
    assert message in album("tags", *arguments, code=2).err
    assert album.rows("SELECT * FROM tag_choices") == []


def test_tags_are_counted_in_every_format(album: Shell) -> None:
    wanted = [{"tag": "tree", "photos": 2, "best": 0.6}, {"tag": "car", "photos": 1, "best": 0.8}]
    assert album("tags", "list", "--format", "json").json == wanted
    assert album("tags", "list", "--format", "json", "--limit", "1").json == wanted[:1]
    read = [*csv.DictReader(io.StringIO(album("tags", "list", "--format", "csv").text))]
    assert read == [{name: str(value) for name, value in row.items()} for row in wanted]
    assert album("tags", "list").text.split() == [
        "tag",
        "photos",
        "best",
        "score",
        "tree",
        "2",
        "0.60",
        "car",
        "1",
        "0.80",
    ]


def test_photos_tagged_before_scores_were_kept_stay_and_the_command_for_them_is_told(run: Shell) -> None:
    old_library(run.folder)
    ran = run("tags", "apply", "--format", "json")
    assert ran.json == []
    assert "1 photo was tagged before scores were kept" in ran.err
    assert "--rescan tags" in ran.err
    assert tags_of(run, "old") == ["dog"]


def test_a_model_whose_lists_are_gone_keeps_the_thresholds_it_had(run: Shell) -> None:
    own = TagRule(0.0, {"dog": 0.5, "cat": 0.9})
    with Library.writing(run.folder) as library:
        library.tag_scores.put_rule("ram-plus-swin-l", own, own, applied=True)
        library.save([tagged("a", (Tag("cat", 0.8), Tag("dog", 0.6)), "ram-plus-swin-l")])
    model = ("--model", "ram-plus-swin-l")
    run("tags", "set", "cat", "0.8", *model)
    assert "has no tag 'bird'" in run("tags", "set", "bird", "0.8", *model, code=2).err
    ran = run("tags", "apply")
    assert "are not on this machine" in ran.err
    assert tags_of(run, "a") == ["cat", "dog"]
    assert len(run("tags", "thresholds", "--all", "--format", "json", *model).json) == 3
