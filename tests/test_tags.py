"""Zero-shot tags: what a picture shows gets the highest score, and a picture gets few of them."""

import dataclasses

import numpy as np
import pytest

from photoindex.errors import ModelBroken, RegistryInvalid
from photoindex.media.views import prepare_view
from photoindex.pure.tag_rules import in_force
from photoindex.records import Candidate, Tag
from photoindex.steps.embedding import Embedding
from photoindex.steps.forms import read_forms
from photoindex.steps.tags import FLOOR, KEPT, Tags, robust_z, rule_of, sigmoid, softmax
from tag_rule import lets_through
from test_embedding import picture

pytest_plugins = ("small_clip",)


def with_spec(installed, **changes):
    """The same model with other fields in its spec."""
    return dataclasses.replace(installed, spec=dataclasses.replace(installed.spec, **changes))


@pytest.fixture(scope="module")
def zero_shot(clip_models):
    return clip_models["zero-shot-tiny-clip"]


@pytest.fixture(scope="module")
def scenes(clip):
    """Three pictures of every thing that can be drawn, with the facts of the embedding step."""
    from scenes import THINGS, render_scene

    step, things = Embedding(clip), [thing for thing in THINGS for _ in range(3)]
    drawn = [render_scene(f"a {thing}", seed, (400, 300)) for seed, thing in enumerate(things)]
    pictures = [picture(prepare_view(each, step.views[0])) for each in drawn]
    return things, pictures, [{"embedding": vector} for vector in step.run(pictures, [{}] * len(pictures))]


def shown(zero_shot, pictures, facts):
    """The tags that the model's own rule shows of what the step keeps."""
    rule = in_force(rule_of(zero_shot.spec), {})
    return [lets_through(rule, kept) for kept in Tags(zero_shot).run(pictures, facts)]


def test_the_first_tag_is_what_the_picture_shows(zero_shot, scenes):
    things, pictures, facts = scenes
    tags = shown(zero_shot, pictures, facts)
    right = [bool(found) and found[0].name == thing for thing, found in zip(things, tags, strict=True)]
    assert np.mean(right) >= 0.85


def test_tags_are_few_sorted_and_scored_between_nought_and_one(zero_shot, scenes):
    for found in shown(zero_shot, scenes[1], scenes[2]):
        scores = [tag.score for tag in found]
        assert all(isinstance(tag, Tag) for tag in found)
        assert len(found) <= 5
        assert scores == sorted(scores, reverse=True)
        assert all(0.1 <= score <= 1.0 for score in scores)


def test_a_picture_that_is_like_no_word_more_than_like_another_gets_no_tags(zero_shot):
    step = Tags(zero_shot)
    words = step._vectors
    indifferent = np.linalg.svd(words)[2][-1]  # at right angles to every word
    assert np.abs(words @ indifferent).max() < 1e-5
    black = [picture(np.zeros((1, 1, 3), np.uint8))]
    assert shown(zero_shot, black, [{"embedding": indifferent.astype(np.float32)}]) == [[]]


def test_more_is_kept_than_is_shown_so_that_thresholds_can_be_lowered(zero_shot, scenes):
    words = len(Tags(zero_shot)._names)
    for kept in Tags(zero_shot).run(scenes[1], scenes[2]):
        scores = [tag.score for tag in kept]
        assert all(isinstance(tag, Candidate) and np.isfinite(tag.standing) for tag in kept)
        assert scores == sorted(scores, reverse=True)
        assert min(scores) >= FLOOR
    lenient = with_spec(zero_shot, thresholds={"probability": 0.0}, options={**zero_shot.spec.options, "limit": 1000})
    [kept] = Tags(lenient).run(scenes[1][:1], scenes[2][:1])
    assert len(kept) == words
    assert sum(tag.score for tag in kept) == pytest.approx(1.0)
    [few] = Tags(with_spec(zero_shot, thresholds={"probability": 0.0})).run(scenes[1][:1], scenes[2][:1])
    assert few == kept[:KEPT]


def test_the_step_needs_no_pixels(zero_shot):
    step = Tags(zero_shot)
    assert (step.views, step.model) == ((), "zero-shot-tiny-clip")


def test_the_vocabulary_is_encoded_once(zero_shot):
    Tags(zero_shot)
    [kept] = read_forms(zero_shot).folder.glob("tags-*.npy")
    before = kept.stat().st_mtime_ns
    Tags(zero_shot)
    assert kept.stat().st_mtime_ns == before
    assert np.load(kept).shape == (len(Tags(zero_shot)._names), 64)


def test_a_vocabulary_may_have_comments_and_repeats(zero_shot, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("# mine\npizza\n\n  boat \npizza\n", encoding="utf-8")
    changed = with_spec(zero_shot, options={**zero_shot.spec.options, "vocabulary": str(words)})
    assert Tags(changed)._names == ("pizza", "boat")


def test_an_absent_or_empty_vocabulary_is_named(zero_shot, tmp_path):
    absent = with_spec(zero_shot, options={**zero_shot.spec.options, "vocabulary": str(tmp_path / "none.txt")})
    with pytest.raises(RegistryInvalid, match=r"none\.txt"):
        Tags(absent)
    (tmp_path / "none.txt").write_text("# nothing\n")
    with pytest.raises(RegistryInvalid, match="it is empty"):
        Tags(absent)


def test_sigmoid_scoring_is_refused_for_a_model_without_a_logit_bias(zero_shot):
    changed = with_spec(zero_shot, options={**zero_shot.spec.options, "scoring": "sigmoid"})
    with pytest.raises(ModelBroken, match="without a logit bias"):
        Tags(changed)


def test_scores_are_what_their_names_say():
    logits = np.array([0.0, np.log(3.0), 100.0, -1000.0], np.float32)
    assert softmax(logits[:2]).tolist() == pytest.approx([0.25, 0.75])
    assert softmax(logits).sum() == pytest.approx(1.0)
    assert sigmoid(logits).tolist() == pytest.approx([0.5, 0.75, 1.0, 0.0], abs=1e-6)
    assert robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0], np.float32))[[2, 4]].tolist() == pytest.approx(
        [0.0, 65.42], 0.01
    )
