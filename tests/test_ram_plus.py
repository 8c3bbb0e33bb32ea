"""RAM++: the published network number for number, its tags, and a scan that writes them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import Shell, draw
from photoindex.errors import ModelBroken, RuntimeUnavailable
from photoindex.media.source import Need, open_source
from photoindex.media.views import prepare_view, short_side_for
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel
from photoindex.records import FoundFile, Problem, View
from photoindex.runtimes.openclip import CannotBuild
from photoindex.runtimes.ram_plus import RamPlusSession, load_ram_plus, normalise, open_ram_plus
from photoindex.steps import STEPS, Stopped, open_model_step, step_with, with_dependents
from photoindex.steps.ram_plus import FLOOR, KEPT, RamPlusTags, read_thresholds
from ram_plus_model import (
    LARGE,
    NAMES,
    SMALL,
    above,
    installed,
    noise,
    published_shapes,
    random_weights,
    resave,
    shown,
)

SHARED = Path(__file__).parents[2] / "shared"
ORACLE = SHARED / "ram_plus_oracle"
needs_oracle = pytest.mark.skipif(not ORACLE.is_dir(), reason="the reference's numbers are not on this machine")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `models pull` leaves it, with a small network of random weights for pictures of 64 pixels."""
    folder = tmp_path_factory.mktemp("ram")
    torch.save({"model": random_weights(SMALL), "optimizer": {}, "epoch": 1}, folder / "weights.pth")
    (folder / "tags.txt").write_text("\n".join(NAMES))
    (folder / "thresholds.txt").write_text("0.2\n0.2\n0.2\n0.2\n0.2\n1.0")
    return folder


# --- the reference's numbers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> Any:
    return np.load(ORACLE / "tiny.npz")


@pytest.fixture(scope="module")
def expected() -> Any:
    return json.loads((ORACLE / "tiny.json").read_text("utf-8"))


def oracle_model(weights: str = "ram_plus_tiny.pth") -> InstalledModel:
    files = {"tags": "tiny_cfg/data/ram_tag_list.txt", "thresholds": "tiny_cfg/data/ram_tag_list_threshold.txt"}
    return installed(ORACLE, options={"weights": weights, **files})


CASES = [
    ("ram_plus_tiny.pth", "random", "random_logits", "random"),
    ("ram_plus_tiny.pth", "image", "image_logits", "image"),
    ("ram_plus_tiny_noscale.pth", "image", "image_logits_default_scale", "image_default_scale"),
]


@needs_oracle
@pytest.mark.parametrize(("weights", "given", "logits", "tags"), CASES)
def test_logits_and_tags_are_those_of_the_reference(
    reference: Any, expected: Any, weights: str, given: str, logits: str, tags: str
) -> None:
    model, of_step = load_ram_plus(ORACLE / weights), oracle_model(weights)
    with torch.inference_mode():
        found = model(torch.from_numpy(reference[f"{given}_input"]))
    np.testing.assert_allclose(found.numpy(), reference[logits], rtol=0, atol=1e-4)
    above = found.sigmoid().numpy() > read_thresholds(of_step, 40)
    assert [np.flatnonzero(row).tolist() for row in above] == expected[tags]["tag_indices"]


@needs_oracle
@pytest.mark.parametrize("given", ["random", "image"])
def test_what_the_network_computes_on_the_way_is_that_of_the_reference(reference: Any, given: str) -> None:
    model = load_ram_plus(ORACLE / "ram_plus_tiny.pth")
    with torch.inference_mode():
        tokens = model.see(torch.from_numpy(reference[f"{given}_input"]))
        seen = model.image_proj(tokens)
        meanings, weights = model.blend(seen[:, 0])
        queries = asked = model.query_proj(meanings).relu()
        for layer in model.layers:
            queries = layer(queries, seen)
    steps = {"visual": tokens, "image_embeds": seen, "label_reweighted": meanings, "description_weights": weights}
    for name, value in {**steps, "label_query": asked, "head": queries}.items():
        np.testing.assert_allclose(value.numpy(), reference[f"{given}_{name}"], rtol=0, atol=2e-5, err_msg=name)


@needs_oracle
@pytest.mark.skipif(not (SHARED / "photos").is_dir(), reason="the real photos are not on this machine")
def test_real_photos_are_prepared_as_the_reference_does_and_get_its_tags(reference: Any, expected: Any) -> None:
    with_model = RamPlusTags(oracle_model())
    [view] = with_model.views
    paths = [SHARED / "photos" / photo_with(image["sha256"]) for image in expected["images"]]
    whole = np.stack([prepare_view(Image.open(path).convert("RGB"), view) for path in paths])
    np.testing.assert_allclose(normalise(torch.from_numpy(whole)).numpy(), reference["image_input"], atol=1e-6, rtol=0)
    quick = [np.asarray(scanned(path, view)) for path in paths]  # decoded no larger than needed, as in a scan
    for pixels in (whole, quick):
        found = [above(oracle_model(), kept) for kept in with_model.run([shown(each) for each in pixels], [{}] * 3)]
        assert [sorted(t.name for t in tags) for tags in found] == [sorted(tags) for tags in expected["image"]["tags"]]
    with_model.close()


def photo_with(sha256: str) -> str:
    with (SHARED / "photos" / "manifest.csv").open(encoding="utf-8") as listed:
        return next(row["path"] for row in csv.DictReader(listed) if row["sha256"] == sha256)


def scanned(path: Path, view: View) -> np.ndarray:
    stat = path.stat()
    file = FoundFile(str(path), str(path.parent), stat.st_size, stat.st_mtime_ns, stat.st_dev, stat.st_ino)
    side = short_side_for(view)
    return prepare_view(open_source(file, Need(side)).at_least(side), view)


@needs_oracle
def test_the_checkpoint_made_here_is_the_published_one_key_for_key() -> None:
    listed = json.loads((ORACLE / "keys.json").read_text())
    parameters = {name: tuple(entry["shape"]) for name, entry in listed.items() if entry["kind"] == "parameter"}
    assert dict(published_shapes(LARGE)) == parameters


# --- loading -------------------------------------------------------------------------------------------------------


def test_sizes_are_read_off_the_weights(small: Path) -> None:
    sizes = load_ram_plus(small / "weights.pth").sizes
    assert (sizes.picture, sizes.tags, sizes.window, sizes.depths, sizes.heads) == (64, 6, 2, (2,) * 4, (2, 4, 8, 16))


def test_what_the_encoder_computes_itself_may_be_in_the_file(small: Path, tmp_path: Path) -> None:
    def add(weights: dict[str, torch.Tensor]) -> None:
        weights["visual_encoder.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(4, 4, dtype=torch.int64)
        weights["visual_encoder.layers.0.blocks.1.attn_mask"] = torch.zeros(64, 4, 4)

    pixels = normalise(torch.from_numpy(noise(2)))
    with torch.inference_mode():
        with_them = load_ram_plus(resave(small, tmp_path, add))(pixels)
        assert torch.equal(with_them, load_ram_plus(small / "weights.pth")(pixels))


@pytest.mark.parametrize("name", ["label_embed", "fc.bias", "visual_encoder.layers.1.downsample.reduction.weight"])
def test_a_checkpoint_that_lacks_a_tensor_is_refused_by_its_name(small: Path, tmp_path: Path, name: str) -> None:
    path = resave(small, tmp_path, lambda weights: weights.pop(name))
    with pytest.raises(CannotBuild, match=r"weights\.pth is no RAM\+\+ checkpoint"):
        load_ram_plus(path)


def test_a_tensor_too_many_or_of_another_shape_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="surprise"):
        load_ram_plus(resave(small, tmp_path, lambda weights: weights.update(surprise=torch.zeros(1))))
    with pytest.raises(CannotBuild, match=r"score\.weight"):
        load_ram_plus(resave(small, tmp_path, lambda weights: weights.update({"fc.weight": torch.zeros(2, 32)})))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_is_a_broken_model(small: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    for name in ("tags.txt", "thresholds.txt"):
        (tmp_path / name).write_text((small / name).read_text())
    with pytest.raises(ModelBroken, match=r"small-ram cannot be used: weights\.pth cannot be read"):
        RamPlusTags(installed(tmp_path))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"model": Harm()}, tmp_path / "weights.pth")
    with pytest.raises(CannotBuild, match="cannot be read"):
        load_ram_plus(tmp_path / "weights.pth")
    assert not (tmp_path / "harm").exists()


# --- the session ---------------------------------------------------------------------------------------------------


def test_a_batch_gives_what_its_pictures_give_alone(small: Path) -> None:
    session, pixels = open_ram_plus(small / "weights.pth"), noise(3)
    batch = session.run({"pixels": pixels})
    alone = np.concatenate([session.run({"pixels": each[None]})["logits"] for each in pixels])
    assert {name: (a.shape, a.dtype) for name, a in batch.items()} == dict.fromkeys(batch, ((3, 6), np.dtype("f4")))
    np.testing.assert_allclose(batch["logits"], alone, atol=1e-5, rtol=0)
    assert np.ptp(batch["logits"], axis=0).max() > 0.01  # pictures do matter


def test_half_precision_changes_scores_little(small: Path) -> None:
    exact, half = (RamPlusSession(small / "weights.pth", device="cpu", precision=p) for p in ("f32", "f16"))
    found = [session.run({"pixels": noise(4)})["scores"] for session in (exact, half)]
    assert half.runtime == "torch-cpu-f16"
    assert found[1].dtype == np.float32
    assert 0 < np.abs(found[0] - found[1]).max() < 0.01


def test_a_closed_session_says_so(small: Path) -> None:
    session = RamPlusSession(small / "weights.pth", device="cpu", precision="f32")
    session.close()
    with pytest.raises(RuntimeUnavailable, match="closed"):
        session.run({"pixels": noise(1)})


# --- the step ------------------------------------------------------------------------------------------------------


def test_a_tag_needs_more_than_its_own_threshold(small: Path, tmp_path: Path) -> None:
    pixels = noise(1)
    scores = open_ram_plus(small / "weights.pth").run({"pixels": pixels})["scores"][0]
    exactly = "\n".join(str(float(score)) for score in scores)
    below = "\n".join(str(float(np.nextafter(score, np.float32(0)))) for score in scores)
    for content, names in ((exactly, set()), (below, set(NAMES))):
        (tmp_path / "t.txt").write_text(content)
        model = installed(small, options={"thresholds": str(tmp_path / "t.txt")})
        [kept] = RamPlusTags(model).run([shown(pixels[0])], [{}])
        found = above(model, kept)
        assert {tag.name for tag in found} == names
        assert len(kept) == len(NAMES)
    assert [tag.score for tag in found] == sorted(scores.tolist(), reverse=True)
    assert {tag.name: tag.score for tag in found} == dict(zip(NAMES, scores.tolist(), strict=True))


def test_what_comes_next_when_thresholds_sink_is_kept_and_every_tag_above_its_own(small: Path, tmp_path: Path) -> None:
    count = KEPT + 12
    thresholds = np.linspace(0.9, 0.3, count, dtype=np.float32)
    step = RamPlusTags(installed(small))
    step._names, step._thresholds = [f"tag {n}" for n in range(count)], thresholds
    scores = np.random.default_rng(1).uniform(0, 1, count).astype(np.float32)
    kept = step._keep(scores)
    names = {tag.name for tag in kept}
    margin = scores - thresholds
    lowest = min(margin[int(name.split()[1])] for name in names)
    assert names >= {f"tag {n}" for n in np.flatnonzero(margin > 0)}
    assert all(margin[n] <= lowest or scores[n] < FLOOR for n in range(count) if f"tag {n}" not in names)
    assert len(step._keep(np.ones(count, np.float32))) == count  # all above their thresholds
    assert len(kept) <= KEPT


def test_thresholds_can_be_moved_but_a_tag_that_is_never_given_stays_so(small: Path) -> None:
    def moved(**thresholds: float) -> list[float]:
        return read_thresholds(installed(small, thresholds=thresholds), 6).tolist()

    assert moved() == pytest.approx([0.2] * 5 + [1])
    assert moved(offset=-0.15) == pytest.approx([0.05] * 5 + [1])
    assert moved(offset=0.1, minimum=0.5) == pytest.approx([0.5] * 5 + [1])


def test_a_model_whose_files_do_not_fit_together_says_which(small: Path, tmp_path: Path) -> None:
    (tmp_path / "five.txt").write_text("\n".join(NAMES[:5]))
    (tmp_path / "words.txt").write_text("0.5\nhalf\n0.5\n0.5\n0.5\n0.5")
    five, words = str(tmp_path / "five.txt"), str(tmp_path / "words.txt")
    wrong = [
        ({"options": {"tags": five}}, "5 tags but 6 thresholds"),
        ({"options": {"thresholds": words}}, "no number"),
        ({"options": {"tags": five, "thresholds": five}}, "no number"),
        ({"options": {"tags": "gone.txt"}}, r"gone\.txt is not there"),
        ({"options": {"weights": None}}, r"options\.weights"),
        ({"input_size": 384}, "64 pixels, not 384"),
    ]
    for changes, message in wrong:
        with pytest.raises(ModelBroken, match=message):
            RamPlusTags(installed(small, **changes))


def test_weights_for_other_tags_than_the_list_holds_are_refused(small: Path, tmp_path: Path) -> None:
    (tmp_path / "five.txt").write_text("\n".join(NAMES[:5]))
    (tmp_path / "t.txt").write_text("\n".join(["0.5"] * 5))
    options = {"tags": str(tmp_path / "five.txt"), "thresholds": str(tmp_path / "t.txt")}
    with pytest.raises(ModelBroken, match="for 6 tags, but its list has 5"):
        RamPlusTags(installed(small, options=options))


class Limited:
    """A session on a device that holds no more than so many pictures."""

    def __init__(self, session: RamPlusSession, most: int) -> None:
        self.session, self.most, self.runtime = session, most, session.runtime

    def run(self, inputs: Any) -> Any:
        if len(inputs["pixels"]) > self.most:
            raise RuntimeUnavailable("weights.pth", "out of memory")
        return self.session.run(inputs)

    def close(self) -> None:
        self.session.close()


def test_a_batch_too_large_for_the_device_is_halved_until_it_fits(small: Path) -> None:
    step = RamPlusTags(installed(small))
    pictures = [shown(each) for each in noise(5)]
    whole = step.run(pictures, [{}] * 5)
    limited = step._session._session = Limited(step._loaded, 2)  # type: ignore[assignment]
    halved = step.run(pictures, [{}] * 5)
    assert [[tag.name for tag in tags] for tags in halved] == [[tag.name for tag in tags] for tags in whole]
    assert step.batch_size <= 2
    limited.most = 0
    with pytest.raises(RuntimeUnavailable, match="out of memory"):
        step.run(pictures, [{}] * 5)
    assert [[tag.name for tag in tags] for tags in step.run(pictures, [{}] * 5)] == [
        [tag.name for tag in tags] for tags in whole
    ]


def test_numbers_that_are_none_are_a_problem_of_that_picture(small: Path) -> None:
    step = RamPlusTags(installed(small))
    found = step._keep(np.array([0.9, np.nan, 0.9, 0.9, 0.9, 0.9], np.float32))
    assert isinstance(found, Problem)
    assert found.code == "not_finite"


def test_a_run_ends_in_its_middle_once_it_is_to_stop(small: Path) -> None:
    step, asked = RamPlusTags(installed(small)), []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 12

    step.stop_when(stop)
    assert len(step.run([shown(noise(1)[0])], [{}])) == 1
    assert len(asked) == 10  # eight blocks and two layers
    with pytest.raises(Stopped):
        step.run([shown(noise(1)[0])], [{}])
    assert len(asked) == 13


# --- in a scan -----------------------------------------------------------------------------------------------------


def test_the_tags_step_needs_a_vector_or_pixels_according_to_its_model(small: Path) -> None:
    registry = load_registry(None)
    zero_shot = step_with(STEPS["tags"], registry.model("zero-shot-siglip2-b-32-256"))
    own = step_with(STEPS["tags"], registry.model("ram-plus-swin-l"))
    assert (zero_shot.needs, zero_shot.needs_pixels) == (("embedding",), False)
    assert (own.name, own.needs, own.needs_pixels) == ("tags", (), True)
    assert isinstance(open_model_step(STEPS["tags"], installed(small)), RamPlusTags)


def test_only_the_quality_profile_uses_ram_plus() -> None:
    registry = load_registry(None)
    chosen = {name: registry.for_profile(name)["tags"].name for name in ("quality", "fast", "permissive")}
    zero_shot = "zero-shot-siglip2-b-32-256"
    assert chosen == {"quality": "ram-plus-swin-l", "fast": zero_shot, "permissive": zero_shot}
    spec = registry.model("ram-plus-swin-l")
    assert {spec.options[key] for key in ("weights", "tags", "thresholds")} == {file.name for file in spec.files}
    assert all(file.sha256 and file.size for file in spec.files)


def user_block(folder: Path, options: str) -> str:
    return (
        '[models.mine]\ntask = "tags"\narchitecture = "ram-plus"\nlicence = "Apache-2.0"\ncommercial = true\n'
        f'path = "{folder}"\noptions = {{ {options} }}\n'
    )


def tags_of(run: Shell, path: Path) -> dict[str, float]:
    return {tag["name"]: tag["score"] for tag in run("show", path, "--format", "json").json["tags"]}


def test_a_scan_writes_the_tags_and_needs_no_vector_for_them(run: Shell, photos: Path, small: Path) -> None:
    run.home.mkdir()
    options = 'weights = "weights.pth", tags = "tags.txt", thresholds = "thresholds.txt"'
    (run.home / "models.toml").write_text(user_block(small, options) + '[profiles.mine]\ntags = "mine"\n')
    arguments = ("scan", photos, "--steps", "tags", "--profile", "mine", "--format", "json")
    assert run(*arguments, code=1).json["steps"]["tags"] == {"done": 10}
    assert run(*arguments).json["due"] == 0
    assert run.rows("SELECT DISTINCT model, runtime FROM ledger WHERE step = 'tags'") == [("mine", "torch-cpu-f32")]
    step = RamPlusTags(installed(small))
    [kept] = step.run([shown(prepare_view(draw(5), step.views[0]))], [{}])
    wanted = above(installed(small), kept)
    assert tags_of(run, photos / "2023" / "trip" / "Kölner Dom.png") == pytest.approx(
        {tag.name: tag.score for tag in wanted}, abs=1e-5
    )
    assert len(wanted) == 5


@pytest.mark.slow
def test_photos_tagged_zero_shot_are_read_again_for_ram_plus(tiny_clip: Shell, photos: Path, small: Path) -> None:
    run = tiny_clip
    options = 'weights = "weights.pth", tags = "tags.txt", thresholds = "thresholds.txt"'
    profile = '[profiles.mine]\nembedding = "tiny-clip"\ntags = "mine"\n'
    blocks = (run.home / "models.toml").read_text() + user_block(small, options) + profile
    (run.home / "models.toml").write_text(blocks)
    arguments = ("scan", photos, "--steps", "embedding,tags", "--format", "json")
    (photos / "broken.jpg").unlink()
    assert run(*arguments, "--profile", "tiny").json["steps"]["tags"] == {"done": 10}
    assert run(*arguments, "--profile", "mine").json["steps"] == {"tags": {"done": 10}}
    assert set(tags_of(run, photos / "beach.webp")) == set(NAMES[:5])
    assert run.rows("SELECT DISTINCT model FROM tags") == [("mine",)]


# --- at its full size ----------------------------------------------------------------------------------------------


def own_memory() -> int:
    """Bytes of this process that are its own, without what is mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@pytest.mark.slow
def test_the_full_size_network_loads_without_a_copy_and_scores_4585_tags(tmp_path: Path) -> None:
    torch.save({"model": random_weights(LARGE)}, tmp_path / "weights.pth")
    before = own_memory() if Path("/proc/self/status").is_file() else None
    session = RamPlusSession(tmp_path / "weights.pth", device="cpu", precision="f32", threads=1)
    if before is not None:
        assert own_memory() - before < 200 << 20  # of 1.3 GB
    pixels = noise(1, 384)
    found = session.run({"pixels": pixels})
    assert (session.side, session.tags, found["logits"].shape) == (384, 4585, (1, 4585))
    assert np.isfinite(found["logits"]).all()
    assert np.ptp(found["scores"]) > 0
    session.close()


def test_new_vectors_make_only_the_tags_due_that_build_on_them() -> None:
    models = load_registry(None).models
    ram = next(model for model in models.values() if model.architecture == "ram-plus")
    zero_shot = next(model for model in models.values() if model.architecture == "zero-shot")
    assert with_dependents("embedding", {"tags": ram}) == ["embedding"]
    assert (
        with_dependents("embedding", {"tags": zero_shot}) == with_dependents("embedding", {}) == ["embedding", "tags"]
    )
    assert with_dependents("metadata", {"tags": ram}) == ["metadata", "place"]
