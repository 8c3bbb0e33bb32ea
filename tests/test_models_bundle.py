"""Carrying models to another machine, reading their files again, and removing them."""

import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from photoindex.errors import (
    BundleInvalid,
    DownloadFailed,
    ModelBroken,
    ModelMissing,
    UnknownModel,
    UsageError,
)
from photoindex.models.bundle import MANIFEST, Moved, export_models, exportable
from photoindex.models.install import locate, pull
from photoindex.models.intake import import_models
from photoindex.models.record import read_record
from photoindex.models.registry import Registry, load_registry
from photoindex.models.removal import plan_removal, remove
from photoindex.models.verify import verify

HEAD = 'architecture = "ppocr"\nlicence = "MIT"\ncommercial = true\n'
DET, REC = b"detector" * 200_000, b"recogniser" * 10
HUB = "https://huggingface.co/a/b/resolve/main/"


def silent(*_: object) -> None:
    pass


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Machine:
    """A machine with weights of its own: `det.onnx` with a checksum in models.toml, `sub/words.txt` without."""

    def __init__(self, folder: Path, extra: str = "", det: bytes = DET, url: str = "words.txt") -> None:
        self.folder, self.models_dir = folder, folder / "models"
        folder.mkdir(exist_ok=True)
        origin = folder.parent / "origin"
        origin.mkdir(exist_ok=True)
        (origin / "det.onnx").write_bytes(det)
        (origin / "words.txt").write_bytes(REC)
        with zipfile.ZipFile(origin / "pack.zip", "w") as packed:
            packed.writestr(zipfile.ZipInfo("rec.onnx"), REC)  # without the hour, which would change its checksum
        archive = (origin / "pack.zip").read_bytes()
        (folder / "models.toml").write_text(
            f'[models.two-files]\ntask = "ocr"\n{HEAD}files = [\n'
            f'{{ name = "det.onnx", sha256 = "{sha(det)}", url = "{(origin / "det.onnx").as_uri()}" }},\n'
            f'{{ name = "sub/words.txt", url = "{(origin / url).as_uri()}" }},\n]\n'
            f'[models.packed]\ntask = "ocr"\n{HEAD}files = [{{ name = "pack.zip", sha256 = "{sha(archive)}", '
            f'url = "{(origin / "pack.zip").as_uri()}", unpack = ["rec.onnx"] }}]\n'
            f'[models.mine]\ntask = "embedding"\n{HEAD}path = "own"\n'
            '[models.words]\ntask = "tags"\narchitecture = "zero-shot"\nlicence = "MIT"\ncommercial = true\n'
            'options = { embedding = "base", vocabulary = "vocabulary.txt" }\n'
            f'[models.base]\ntask = "embedding"\n{HEAD}'
            f'files = [{{ name = "w.bin", url = "{(origin / "det.onnx").as_uri()}" }}]\n'
            f"{extra}"
        )

    @property
    def registry(self) -> Registry:
        return load_registry(self.folder / "models.toml")

    def pull(self, *names: str) -> None:
        for name in names:
            pull(self.registry, self.registry.model(name), self.models_dir, silent)

    def path(self, name: str) -> Path:
        return locate(self.registry, self.registry.model(name), self.models_dir).path

    def export(self, folder: Path, *names: str) -> list[Moved]:
        registry = self.registry
        chosen = [registry.model(name) for name in names] or None
        return export_models(exportable(registry, self.models_dir, chosen), self.models_dir, folder, silent)

    def take(self, folder: Path, *names: str) -> list[Moved]:
        return import_models(self.registry, folder, self.models_dir, names, silent)


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "here")
    machine.pull("two-files", "packed")
    return machine


@pytest.fixture
def there(here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Machine(tmp_path / "there")


@pytest.fixture
def bundle(here: Machine, tmp_path: Path) -> Path:
    here.export(tmp_path / "bundle")
    return tmp_path / "bundle"


def nothing_half(machine: Machine) -> bool:
    return not [*machine.models_dir.rglob(".part-*")]


def manifest(bundle: Path) -> Any:
    return json.loads((bundle / MANIFEST).read_text())


# --- export and import ---------------------------------------------------------------------------------------------


def test_a_bundle_holds_the_files_and_what_they_have_to_be(here: Machine, bundle: Path) -> None:
    assert sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()) == [
        "packed/rec.onnx",
        MANIFEST,
        "two-files/det.onnx",
        "two-files/sub/words.txt",
    ]
    assert manifest(bundle)["models"]["two-files"]["files"]["det.onnx"]["sha256"] == sha(DET)


def test_a_bundle_installs_its_models_on_another_machine_without_a_network(there: Machine, bundle: Path) -> None:
    shutil.rmtree(bundle.parent / "origin")
    moved = there.take(bundle)
    assert [(each.model, each.problem, each.already) for each in moved] == [
        ("packed", None, False),
        ("two-files", None, False),
    ]
    assert (there.path("two-files") / "det.onnx").read_bytes() == DET
    assert (there.path("packed") / "rec.onnx").read_bytes() == REC
    trust = {name: entry["trust"] for name, entry in read_record(there.path("two-files")).items()}
    assert trust == {"det.onnx": "models.toml", "sub/words.txt": "bundle"}
    assert [each.already for each in there.take(bundle)] == [True, True]
    assert nothing_half(there)
    for name in ("two-files", "packed"):
        assert all(
            each.verdict == "ok"
            for each in verify(there.registry, there.registry.model(name), there.models_dir, silent)
        )


def test_named_models_alone_are_carried_and_a_bundle_grows(here: Machine, there: Machine, tmp_path: Path) -> None:
    here.export(tmp_path / "b", "packed")
    assert list(manifest(tmp_path / "b")["models"]) == ["packed"]
    here.export(tmp_path / "b", "two-files")
    assert list(manifest(tmp_path / "b")["models"]) == ["packed", "two-files"]
    assert [each.model for each in there.take(tmp_path / "b", "two-files")] == ["two-files"]
    with pytest.raises(ModelMissing):
        there.path("packed")
    with pytest.raises(BundleInvalid, match="it holds no yunet-sface; there are packed, two-files"):
        there.take(tmp_path / "b", "yunet-sface")


def test_zero_shot_tags_travel_as_the_embedding_model_they_use(here: Machine, there: Machine, tmp_path: Path) -> None:
    here.pull("base")
    assert [each.model for each in here.export(tmp_path / "b", "words", "base")] == ["base"]
    assert [each.model for each in there.take(tmp_path / "b", "words")] == ["base"]
    assert there.path("words") == there.models_dir / "base"


@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        ("two-files/det.onnx", lambda b: b[:-1] + b"!", "not the .* of models.toml"),
        ("two-files/det.onnx", lambda b: b[:-1], "not the .* of models.toml"),
        ("two-files/sub/words.txt", lambda b: b + b" ", f"not the .* of {MANIFEST}"),
        ("packed/rec.onnx", lambda b: b"x" + b[1:], f"not the .* of {MANIFEST}"),
        ("packed/rec.onnx", None, "No such file"),
        ("two-files/sub/words.txt", None, "No such file"),
    ],
    ids=["weights changed", "weights cut", "words changed", "member changed", "member gone", "words gone"],
)
def test_a_bundle_with_a_changed_file_installs_nothing_of_that_model(
    there: Machine, bundle: Path, file: str, damage: Any, told: str
) -> None:
    if damage is None:
        (bundle / file).unlink()
    else:
        (bundle / file).write_bytes(damage((bundle / file).read_bytes()))
    results = {each.model: each for each in there.take(bundle)}
    bad = file.split("/", maxsplit=1)[0]
    assert re.search(told, str(results[bad].problem))
    for name, each in results.items():
        assert (each.problem is None) == (name != bad)
    with pytest.raises(ModelMissing):
        there.path(bad)
    assert not [path for path in (there.models_dir / bad).rglob("*") if path.is_file()]


def test_what_was_there_stays_when_a_bundle_does_not_match(here: Machine, bundle: Path) -> None:
    (bundle / "two-files" / "det.onnx").write_bytes(b"other")
    (here.path("two-files") / "det.onnx").write_bytes(b"rotten")
    assert {each.model: each.problem is None for each in here.take(bundle)} == {"packed": True, "two-files": False}
    assert (here.models_dir / "two-files" / "det.onnx").read_bytes() == b"rotten"
    assert (here.models_dir / "two-files" / "sub" / "words.txt").read_bytes() == REC


def test_a_bundle_mends_a_file_that_rotted(here: Machine, bundle: Path) -> None:
    (here.path("two-files") / "det.onnx").write_bytes(bytes(len(DET)))
    assert {each.model: each.already for each in here.take(bundle)} == {"packed": True, "two-files": False}
    assert (here.path("two-files") / "det.onnx").read_bytes() == DET


def test_a_bundle_of_another_version_is_refused(here: Machine, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "origin" / "new.txt").write_bytes(REC)
    newer = Machine(tmp_path / "newer", det=b"new weights", url="new.txt")
    [packed, two] = newer.take(bundle)
    assert packed.problem is None
    assert two.problem is not None
    assert "of models.toml" in two.problem
    same_weights = Machine(tmp_path / "third", url="new.txt")  # the file without a checksum comes from elsewhere now
    [_, two] = same_weights.take(bundle)
    assert "sub/words.txt is of another version" in str(two.problem)
    edited = manifest(bundle)
    edited["models"]["packed"]["files"]["rec.onnx"]["archive_sha256"] = "0" * 64
    (bundle / MANIFEST).write_text(json.dumps(edited))
    [packed] = Machine(tmp_path / "fourth").take(bundle, "packed")
    assert "rec.onnx is of another version" in str(packed.problem)


def test_a_model_that_models_toml_does_not_know_is_refused_and_the_others_come(there: Machine, bundle: Path) -> None:
    edited = manifest(bundle)
    edited["models"]["../../elsewhere"] = edited["models"]["packed"]
    (bundle / MANIFEST).write_text(json.dumps(edited))
    results = {each.model: each.problem for each in there.take(bundle)}
    assert "No model is called" in str(results.pop("../../elsewhere"))
    assert results == {"packed": None, "two-files": None}


@pytest.mark.parametrize(
    "text",
    [
        "{ half",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 2, "models": {}}',
        '{"format": 1, "models": []}',
        '{"format": 1, "models": {"packed": {}}}',
        '{"format": 1, "models": {"packed": {"files": {"rec.onnx": {"size": 1}}}}}',
        '{"format": 1, "models": {"packed": {"files": {"rec.onnx": {"sha256": 1, "size": 1}}}}}',
        "\xff",
    ],
)
def test_a_manifest_of_another_form_is_refused(there: Machine, bundle: Path, text: str) -> None:
    (bundle / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleInvalid, match="bundle of models"):
        there.take(bundle)


def test_a_plain_folder_of_files_named_as_in_models_toml_is_read(there: Machine, bundle: Path, tmp_path: Path) -> None:
    (bundle / MANIFEST).unlink()
    shutil.copy(tmp_path / "origin" / "pack.zip", bundle / "packed")
    results = {each.model: each.problem for each in there.take(bundle)}
    assert results == {"two-files": None, "packed": None}
    assert read_record(there.path("two-files"))["sub/words.txt"]["trust"] == "first use"
    assert (there.path("packed") / "rec.onnx").read_bytes() == REC


def test_a_folder_of_the_files_of_one_model_is_read_when_it_is_named(here: Machine, there: Machine) -> None:
    [moved] = there.take(here.path("two-files"), "two-files")
    assert moved.problem is None
    assert (there.path("two-files") / "det.onnx").read_bytes() == DET


def test_members_of_an_archive_that_nobody_vouches_for_are_refused(there: Machine, here: Machine) -> None:
    [moved] = there.take(here.path("packed"), "packed")
    assert "pack.zip is not there" in str(moved.problem)


def test_a_folder_with_nothing_in_it_is_told_what_it_should_hold(there: Machine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleInvalid, match=MANIFEST):
        there.take(tmp_path / "empty")
    with pytest.raises(BundleInvalid, match="no such folder"):
        there.take(tmp_path / "none")
    with pytest.raises(UnknownModel):
        there.take(tmp_path / "empty", "nobody")


def test_weights_that_rotted_are_not_exported(here: Machine, tmp_path: Path) -> None:
    (here.path("two-files") / "det.onnx").write_bytes(bytes(len(DET)))
    with pytest.raises(ModelBroken, match=r"det\.onnx is no longer what was installed"):
        here.export(tmp_path / "b", "two-files")
    assert not (tmp_path / "b" / MANIFEST).exists()
    assert not [path for path in (tmp_path / "b").rglob("*") if path.is_file()]


def test_a_folder_with_other_things_is_not_made_a_bundle(here: Machine, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(BundleInvalid, match="not empty"):
        here.export(tmp_path / "photos")
    with pytest.raises(UsageError, match="keeps its weights"):
        here.export(here.models_dir / "b")
    assert os.listdir(tmp_path / "photos") == ["a.jpg"]


def test_what_has_no_files_of_its_own_to_export_is_told(here: Machine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="your own folder"):
        here.export(tmp_path / "b", "mine")
    with pytest.raises(ModelMissing):
        here.export(tmp_path / "b", "yunet-sface")
    registry = here.registry
    assert exportable(registry, here.models_dir, [registry.model("rapidocr-ppocr-v6-small")]) == []


def test_a_model_that_is_half_there_is_left_out_of_a_bundle_of_all(here: Machine, tmp_path: Path) -> None:
    record = here.path("two-files") / "installed.json"
    half = json.loads(record.read_text())
    del half["files"]["sub/words.txt"]
    record.write_text(json.dumps(half))
    assert [each.model for each in here.export(tmp_path / "b")] == ["packed"]
    with pytest.raises(ModelMissing):
        here.export(tmp_path / "b", "two-files")


def test_a_full_disk_is_told_before_anything_is_copied(
    here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoindex.models.bundle.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(BundleInvalid, match="it needs 2 MB, and 0 MB are free"):
        here.export(tmp_path / "deep" / "b")
    assert not (tmp_path / "deep").exists()


# --- verify --------------------------------------------------------------------------------------------------------


def verdicts(machine: Machine, name: str) -> dict[str, str]:
    checked = verify(machine.registry, machine.registry.model(name), machine.models_dir, silent)
    return {each.path.name: each.verdict for each in checked}


def test_verify_finds_a_byte_that_changed_a_file_that_went_and_one_of_another_version(here: Machine) -> None:
    assert verdicts(here, "two-files") == {"det.onnx": "ok", "words.txt": "ok"}
    (here.path("two-files") / "det.onnx").write_bytes(DET[:-1] + b"!")
    (here.path("two-files") / "sub" / "words.txt").unlink()
    assert verdicts(here, "two-files") == {"det.onnx": "changed", "words.txt": "missing"}
    newer = Machine(here.folder, det=b"new weights")
    newer.models_dir.joinpath("two-files", "det.onnx").write_bytes(DET)
    assert verdicts(newer, "two-files")["det.onnx"] == "another version"


def test_verify_reads_packages_and_users_folders_and_the_model_under_zero_shot_tags(here: Machine) -> None:
    assert set(verdicts(here, "rapidocr-ppocr-v6-small").values()) == {"ok"}
    (here.folder / "own").mkdir()
    (here.folder / "own" / "w.safetensors").write_bytes(DET)
    assert verdicts(here, "mine") == {"w.safetensors": "no checksum"}
    with pytest.raises(ModelMissing, match="models pull base"):
        verdicts(here, "words")
    here.pull("base")
    assert verdicts(here, "words") == {"w.bin": "ok"}


def test_verify_tells_a_file_that_cannot_be_read(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("photoindex.models.verify.sha256_of", fail)
    assert verdicts(here, "packed") == {"rec.onnx": "unreadable"}


# --- remove --------------------------------------------------------------------------------------------------------


def test_remove_takes_the_whole_folder_and_says_who_misses_it(here: Machine) -> None:
    here.pull("base")
    with (here.folder / "models.toml").open("a") as out:
        out.write('[profiles.p]\nembedding = "base"\ntags = "words"\n')
    (here.models_dir / "base" / "forms-1").mkdir()
    removal = plan_removal(here.registry, "base", here.models_dir)
    assert (removal.profiles, removal.resting) == (("p",), ("words",))
    assert removal.bytes > len(DET)
    remove(removal)
    assert sorted(path.name for path in here.models_dir.iterdir() if path.is_dir()) == ["packed", "two-files"]
    with pytest.raises(ModelMissing):
        here.path("base")
    with pytest.raises(UsageError, match="not installed"):
        plan_removal(here.registry, "base", here.models_dir)


def test_nothing_of_a_package_or_a_users_own_folder_is_removed(here: Machine) -> None:
    (here.folder / "own").mkdir()
    for name, told in (("mine", "your own folder"), ("rapidocr-ppocr-v6-small", "belongs to the package rapidocr")):
        with pytest.raises(UsageError, match=told):
            plan_removal(here.registry, name, here.models_dir)
        (here.models_dir / name / "forms-1").mkdir(parents=True)
        removal = plan_removal(here.registry, name, here.models_dir)
        assert removal.folder == here.models_dir / name  # what was made from it, here
        remove(removal)
    assert (here.folder / "own").is_dir()
    assert (here.path("rapidocr-ppocr-v6-small") / "PP-OCRv6_det_small.onnx").is_file()
    with pytest.raises(UsageError, match="those of base"):
        plan_removal(here.registry, "words", here.models_dir)


@pytest.mark.parametrize("path", ["models/mine", "models", "models/mine/deeper", "link"])
def test_a_users_own_folder_is_safe_where_it_lies_among_the_weights(here: Machine, path: str) -> None:
    (here.models_dir / "mine" / "deeper").mkdir(parents=True)
    (here.folder / "link").symlink_to(here.models_dir / "mine")
    text = (here.folder / "models.toml").read_text().replace('path = "own"', f'path = "{path}"')
    (here.folder / "models.toml").write_text(text)
    with pytest.raises(UsageError, match="does not delete it"):
        plan_removal(here.registry, "mine", here.models_dir)


def test_a_model_that_models_toml_has_forgotten_can_be_removed(here: Machine) -> None:
    text = (here.folder / "models.toml").read_text().replace("[models.packed]", "[models.renamed]")
    (here.folder / "models.toml").write_text(text)
    remove(plan_removal(here.registry, "packed", here.models_dir))
    assert not (here.models_dir / "packed").exists()
    for name in ("packed", "../models", "..", ""):
        with pytest.raises(UnknownModel):
            plan_removal(here.registry, name, here.models_dir)


def test_a_link_among_the_weights_is_removed_and_not_what_it_leads_to(here: Machine, tmp_path: Path) -> None:
    here.path("packed").rename(tmp_path / "big disk")
    (here.models_dir / "packed").symlink_to(tmp_path / "big disk")
    remove(plan_removal(here.registry, "packed", here.models_dir))
    assert not (here.models_dir / "packed").exists()
    assert (tmp_path / "big disk" / "rec.onnx").is_file()


def test_a_model_that_is_being_fetched_is_not_removed(here: Machine) -> None:
    from filelock import FileLock

    removal = plan_removal(here.registry, "packed", here.models_dir)
    with FileLock(here.models_dir / ".packed.lock"), pytest.raises(DownloadFailed):
        remove(removal)
    assert here.path("packed").is_dir()
