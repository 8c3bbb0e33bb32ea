"""Finding weights, and what becomes of files that are not what they were."""

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from photoindex.errors import DownloadFailed, ModelBroken, ModelMissing
from photoindex.models.install import locate
from photoindex.models.registry import load_registry
from weights_server import HEAD, HUB_URL, SHA256, WEIGHTS, Server, address, fetch, one_file, registry_with

pytest_plugins = ("weights_server",)


# --- locate --------------------------------------------------------------------------------------------------------


def test_missing_weights_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    registry = load_registry(None)
    with pytest.raises(ModelMissing, match="photoindex models pull yunet-sface"):
        locate(registry, registry.model("yunet-sface"), tmp_path)


def test_zero_shot_tags_are_where_their_embedding_model_is(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    text = f"""[models.mine]\n{HEAD}path = "{tmp_path / "weights"}"
[models.words]\ntask = "tags"\narchitecture = "zero-shot"\nlicence = "MIT"\ncommercial = true
options = {{ embedding = "mine", vocabulary = "vocabulary.txt" }}"""
    registry = registry_with(tmp_path, text)
    found = locate(registry, registry.model("words"), tmp_path / "models")
    assert found.path == tmp_path / "weights"
    assert found.base is not None
    assert found.base.spec.name == "mine"


def test_missing_zero_shot_tags_ask_for_the_embedding_model(tmp_path: Path) -> None:
    registry = load_registry(None)
    with pytest.raises(ModelMissing, match="photoindex models pull openclip-vit-h-14"):
        locate(registry, registry.model("zero-shot-openclip-vit-h-14"), tmp_path)


def test_models_inside_a_package_are_found_without_importing_it(tmp_path: Path) -> None:
    registry = load_registry(None)
    spec = registry.model("rapidocr-ppocr-v6-small")
    loaded = "rapidocr" in sys.modules
    found = locate(registry, spec, tmp_path)
    assert ("rapidocr" in sys.modules) == loaded
    for key in ("det", "rec", "cls"):
        assert (found.path / spec.options[key]).is_file()
    assert found.derived == tmp_path / spec.name  # never inside site-packages
    for file in spec.files:
        assert hashlib.sha256((found.path / file.name).read_bytes()).hexdigest() == file.sha256


def test_a_package_that_is_not_installed_is_missing(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, f'[models.a]\n{HEAD}package = "no_such_package_here"\n')
    with pytest.raises(ModelMissing, match="pip install"):
        locate(registry, registry.model("a"), tmp_path)


def test_a_local_folder_needs_no_download_and_must_exist(tmp_path: Path) -> None:
    registry = registry_with(tmp_path, f'[models.small]\n{HEAD}path = "weights"\n')
    with pytest.raises(ModelBroken, match="no folder"):
        locate(registry, registry.model("small"), tmp_path / "models")
    (tmp_path / "weights").mkdir()
    assert fetch(registry, tmp_path).path == tmp_path / "weights"
    assert not (tmp_path / "models" / "small").exists()


# --- what is on disk -----------------------------------------------------------------------------------------------


def test_a_truncated_file_is_broken_and_pulled_again(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    weights = fetch(registry, tmp_path).path / "weights.bin"
    weights.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ModelBroken, match="2,097,151 bytes instead of 2,097,152"):
        locate(registry, registry.model("small"), tmp_path / "models")
    fetch(registry, tmp_path)
    assert weights.read_bytes() == WEIGHTS


def test_pulling_mends_a_file_whose_bytes_changed(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    weights = fetch(registry, tmp_path).path / "weights.bin"
    weights.write_bytes(bytes(len(WEIGHTS)))
    fetch(registry, tmp_path)
    assert weights.read_bytes() == WEIGHTS


def test_weights_of_another_version_are_not_used(tmp_path: Path, server: Server) -> None:
    fetch(one_file(tmp_path, f"{address(server)}/w", sha256=SHA256), tmp_path)
    newer = one_file(tmp_path, f"{address(server)}/w", sha256="1" * 64)
    with pytest.raises(ModelBroken, match="another version"):
        locate(newer, newer.model("small"), tmp_path / "models")


def test_a_file_copied_by_hand_is_verified_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(WEIGHTS)
    registry = one_file(tmp_path, HUB_URL, sha256=SHA256)
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")
    assert (fetch(registry, tmp_path).path / "weights.bin").read_bytes() == WEIGHTS


def test_an_unreadable_record_counts_as_not_installed(tmp_path: Path, server: Server) -> None:
    registry = one_file(tmp_path, f"{address(server)}/w", sha256=SHA256)
    (fetch(registry, tmp_path).path / "installed.json").write_text("{ half")
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def test_a_file_without_a_checksum_from_another_address_is_another_version(tmp_path: Path) -> None:
    for name, content in (("one.bin", b"one"), ("two.bin", b"two")):
        (tmp_path / name).write_bytes(content)
    fetch(one_file(tmp_path, (tmp_path / "one.bin").as_uri()), tmp_path)
    newer = one_file(tmp_path, (tmp_path / "two.bin").as_uri())
    with pytest.raises(ModelBroken, match="another version"):
        locate(newer, newer.model("small"), tmp_path / "models")
    assert (fetch(newer, tmp_path).path / "weights.bin").read_bytes() == b"two"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip" * 99], ids=["empty", "a beginning", "no zip"])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.zip").write_bytes(content)
    with pytest.raises(DownloadFailed, match="the archive is not what it should be"):
        fetch(one_file(tmp_path, (tmp_path / "pack.zip").as_uri(), unpack=["rec.onnx"]), tmp_path)
    registry = load_registry(tmp_path / "user.toml")
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def zipped(folder: Path, **members: bytes) -> tuple[str, str]:
    with zipfile.ZipFile(folder / "pack.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name.replace("__", "."), content)
        out.writestr("../../escaped", b"outside")
    return (folder / "pack.zip").as_uri(), hashlib.sha256((folder / "pack.zip").read_bytes()).hexdigest()


def test_only_the_listed_members_of_an_archive_are_unpacked(tmp_path: Path) -> None:
    url, sha256 = zipped(tmp_path, det__onnx=b"det", rec__onnx=b"rec", other__onnx=b"other")
    registry = one_file(tmp_path, url, sha256=sha256, unpack=["det.onnx", "rec.onnx"])
    found = fetch(registry, tmp_path)
    assert sorted(path.name for path in found.path.iterdir()) == ["det.onnx", "installed.json", "rec.onnx"]
    assert not (tmp_path / "escaped").exists()
    (tmp_path / "pack.zip").unlink()
    fetch(registry, tmp_path)  # the members are verified; the archive is not needed again
    (found.path / "rec.onnx").unlink()
    with pytest.raises(ModelMissing):
        locate(registry, registry.model("small"), tmp_path / "models")


def test_an_archive_without_its_member_is_refused(tmp_path: Path) -> None:
    url, sha256 = zipped(tmp_path, det__onnx=b"det")
    with pytest.raises(DownloadFailed, match=r"rec\.onnx"):
        fetch(one_file(tmp_path, url, sha256=sha256, unpack=["rec.onnx"]), tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    with pytest.raises(DownloadFailed, match="small"):
        fetch(one_file(tmp_path, (tmp_path / "w.bin").as_uri()), tmp_path)
