"""`photoindex models`: list, show, verify, pull, export, import, remove, path."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from photoindex.cli.models import app
from photoindex.errors import ModelBroken, ModelMissing, RegistryInvalid, UsageError
from photoindex.models.registry import load_registry

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB: more than one chunk
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
HEAD = 'task = "embedding"\narchitecture = "ViT-B-32"\nlicence = "MIT"\ncommercial = true\n'
FACES = HEAD.replace("embedding", "faces").replace("ViT-B-32", "insightface")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHOTOINDEX_HOME", str(tmp_path))
    monkeypatch.delenv("PHOTOINDEX_MODELS", raising=False)
    return tmp_path


def user_model(home: Path, extra: str = "") -> None:
    (home / "w.bin").write_bytes(WEIGHTS)
    files = f'files = [{{ name = "weights.bin", url = "{(home / "w.bin").as_uri()}", size = {len(WEIGHTS)} }}]\n'
    (home / "models.toml").write_text(f"[models.small]\n{FACES}{files}{extra}")


def test_list_shows_licence_use_and_profiles_as_json(home: Path) -> None:
    user_model(home)
    shown = {row["name"]: row for row in json.loads(CliRunner().invoke(app, ["list", "--format", "json"]).stdout)}
    assert shown["small"]["bytes"] == len(WEIGHTS)
    assert shown["small"]["installed"] == "no"
    assert shown["rapidocr-ppocr-v6-small"]["installed"] == "yes"
    assert shown["insightface-buffalo-l"]["commercial"] is False
    assert shown["insightface-buffalo-l"]["profiles"] == ["quality"]


def test_list_shows_a_table(home: Path) -> None:
    output = CliRunner().invoke(app, ["list"]).stdout
    line = next(line for line in output.splitlines() if line.startswith("yunet-sface"))
    assert re.search(r"faces +39 MB +no +permissive", line)


def test_no_size_of_photoindexs_own_models_is_unknown(home: Path) -> None:
    rows = json.loads(CliRunner().invoke(app, ["list", "--format", "json"]).stdout)
    assert all(row["bytes"] is not None or row["bytes_about"] for row in rows)
    shown = CliRunner().invoke(app, ["list"]).stdout
    assert re.search(r"siglip2-b-32-256 +embedding +~1.5 GB +no", shown)
    assert "?" not in shown


def test_a_size_that_is_known_about_or_not_at_all_says_so(home: Path) -> None:
    (home / "w.bin").write_bytes(WEIGHTS)
    files = f'files = [{{ name = "w.bin", url = "{(home / "w.bin").as_uri()}" }}]\n'
    blocks = (f"[models.one]\n{FACES}about_mb = 12\n{files}", f"[models.two]\n{FACES}{files}")
    (home / "models.toml").write_text("".join(blocks))
    shown = CliRunner().invoke(app, ["list"]).stdout
    assert re.search(r"one +faces +~12 MB +no", shown)
    assert re.search(r"two +faces +\? +no", shown)
    (home / "models.toml").write_text(blocks[0].replace("12", "0"))
    with pytest.raises(RegistryInvalid, match="about_mb: must be a whole number from 1"):
        CliRunner().invoke(app, ["list"], catch_exceptions=False)


@pytest.mark.parametrize("option", [(), ("--licence",)])
def test_the_list_fits_80_columns_and_no_name_breaks(
    home: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    monkeypatch.setattr("photoindex.render.models.console", lambda: Console(width=80))
    lines = CliRunner().invoke(app, ["list", *option]).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    firsts = {line.split(" ")[0] for line in lines}
    assert set(load_registry(None).models) <= firsts


def test_list_says_what_is_wrong_with_a_broken_model(home: Path) -> None:
    user_model(home)
    CliRunner().invoke(app, ["pull", "small"])
    (home / "models" / "small" / "weights.bin").write_bytes(b"short")
    result = CliRunner().invoke(app, ["list"])
    assert re.search(r"^small +faces +2 MB +broken", result.stdout, re.MULTILINE)
    assert "5 bytes instead of 2,097,152" in result.stderr
    assert "models pull small" in result.stderr


def test_licences_are_shown_and_models_for_commercial_use_alone(home: Path) -> None:
    lines = CliRunner().invoke(app, ["list", "--licence"]).stdout.splitlines()
    [faces] = [line for line in lines if line.startswith("insightface-buffalo-l")]
    assert re.search(r"no +InsightFace models: non-commercial research only", faces)
    shown = json.loads(CliRunner().invoke(app, ["list", "--commercial", "--format", "json"]).stdout)
    names = {row["name"] for row in shown}
    assert all(row["commercial"] for row in shown)
    assert names == {spec.name for spec in load_registry(None).models.values() if spec.commercial}


def test_show_tells_everything_of_a_model_that_is_not_here(home: Path) -> None:
    shown = json.loads(CliRunner().invoke(app, ["show", "insightface-buffalo-s", "--format", "json"]).stdout)
    spec = load_registry(None).model("insightface-buffalo-s")
    archive, *members = shown["files"]
    assert (archive["sha256"], archive["size"], archive["members"]) == (
        spec.files[0].sha256,
        spec.files[0].size,
        ["det_500m.onnx", "w600k_mbf.onnx"],
    )
    assert [member["have"] for member in members] == [None, None]
    assert (shown["installed"], shown["commercial"], shown["fingerprint"]) == ("no", False, None)
    assert shown["memory"]["weights"] > 0
    assert shown["runtimes"] == list(spec.runtimes)
    text = CliRunner().invoke(app, ["show", "insightface-buffalo-s"]).stdout
    for word in (str(spec.files[0].sha256), "127.6 MB", "commercial use not allowed", "models pull", "v0.7"):
        assert word in text


def test_show_tells_what_is_here_what_was_made_of_it_and_how_much_of_a_download(home: Path) -> None:
    user_model(home)
    folder = home / "models" / "small"
    folder.mkdir(parents=True)
    (folder / ".part-weights.bin").write_bytes(WEIGHTS[: len(WEIGHTS) // 4])
    assert "weights.bin  2.1 MB  (25% is here)\n" in CliRunner().invoke(app, ["show", "small"]).stdout
    CliRunner().invoke(app, ["pull", "small"])
    (folder / "forms-1").mkdir()
    (folder / "forms-1" / "visual.onnx").write_bytes(b"12345")
    shown = json.loads(CliRunner().invoke(app, ["show", "small", "--format", "json"]).stdout)
    [file] = shown["files"]
    assert (file["have"], file["partial"], file["sha256"], file["trust"]) == (len(WEIGHTS), None, SHA256, "first use")
    assert shown["forms"] == [{"path": str(folder / "forms-1"), "bytes": 5}]
    assert (shown["installed"], shown["path"]) == ("yes", str(folder))
    assert re.fullmatch("[0-9a-f]{12}", shown["fingerprint"])


def test_verify_ends_with_1_where_a_file_changed_and_says_what_to_do(home: Path) -> None:
    user_model(home)
    CliRunner().invoke(app, ["pull", "small"])
    assert CliRunner().invoke(app, ["verify"]).exit_code == 0
    (home / "models" / "small" / "weights.bin").write_bytes(bytes(len(WEIGHTS)))
    result = CliRunner().invoke(app, ["verify", "--format", "json"])
    assert result.exit_code == 1
    assert "models pull small" in result.stderr
    verdicts = {row["model"]: row["verdict"] for row in json.loads(result.stdout)}
    assert verdicts == {"small": "changed", "rapidocr-ppocr-v6-small": "ok"}
    assert CliRunner().invoke(app, ["verify", "rapidocr-ppocr-v6-small"]).exit_code == 0
    assert isinstance(CliRunner().invoke(app, ["verify", "yunet-sface"]).exception, ModelMissing)


def test_a_model_goes_out_on_a_disk_and_comes_in_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user_model(home)
    CliRunner().invoke(app, ["pull", "small"])
    exported = CliRunner().invoke(app, ["export", str(home / "disk")])
    assert exported.stdout == f"small\t{home / 'disk' / 'small'}\n"
    assert "models import" in exported.stderr
    refused = CliRunner().invoke(app, ["remove", "small"])
    assert isinstance(refused.exception, UsageError)
    assert (home / "models" / "small").is_dir()
    removed = CliRunner().invoke(app, ["remove", "small", "--yes"])
    assert removed.stdout == f"small\t{home / 'models' / 'small'}\n"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (home / "w.bin").unlink()
    imported = CliRunner().invoke(app, ["import", str(home / "disk")])
    assert imported.stdout == f"small\t{home / 'models' / 'small'}\n"
    assert "the bundle's own checksum" in imported.stderr
    (home / "disk" / "small" / "weights.bin").write_bytes(b"other")
    CliRunner().invoke(app, ["remove", "small", "--yes"])
    result = CliRunner().invoke(app, ["import", str(home / "disk")])
    assert result.exit_code == 26
    assert "small was not imported" in result.stderr


def test_a_profile_is_exported_without_what_its_packages_bring(home: Path) -> None:
    user_model(home, '[profiles.mine]\nfaces = "small"\nocr = "rapidocr-ppocr-v6-small"\n')
    assert isinstance(CliRunner().invoke(app, ["export", str(home / "disk")]).exception, UsageError)
    CliRunner().invoke(app, ["pull", "small"])
    result = CliRunner().invoke(app, ["export", str(home / "disk"), "--profile", "mine"])
    assert result.stdout == f"small\t{home / 'disk' / 'small'}\n"


def test_a_model_is_deleted_after_a_yes_and_not_after_a_no(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user_model(home, '[profiles.mine]\nfaces = "small"\n')
    CliRunner().invoke(app, ["pull", "small"])
    monkeypatch.setattr("photoindex.cli.model_files._can_ask", lambda: True)
    kept = CliRunner().invoke(app, ["remove", "small"], input="n\n")
    assert "Used by the profile mine." in kept.stderr
    assert kept.exit_code == 1
    assert (home / "models" / "small").is_dir()
    assert CliRunner().invoke(app, ["remove", "small"], input="y\n").exit_code == 0
    assert not (home / "models" / "small").exists()


def test_the_folder_of_all_weights_is_told(home: Path) -> None:
    assert CliRunner().invoke(app, ["path"]).stdout == f"{home / 'models'}\n"


def test_a_tags_model_with_weights_of_its_own_is_pulled_as_it_is(home: Path) -> None:
    user_model(home)
    text = (home / "models.toml").read_text()
    (home / "models.toml").write_text(text.replace('"faces"', '"tags"').replace('"insightface"', '"ram-plus"'))
    result = CliRunner().invoke(app, ["pull", "small"])
    assert result.stdout == f"small\t{home / 'models' / 'small'}\n"
    assert "preparing" not in result.stderr


def test_pull_prints_the_folder_and_says_what_nobody_vouches_for(home: Path) -> None:
    user_model(home)
    result = CliRunner().invoke(app, ["pull", "small"])
    assert result.stdout == f"small\t{home / 'models' / 'small'}\n"
    assert "without a checksum" in result.stderr
    assert CliRunner().invoke(app, ["path", "small"]).stdout == f"{home / 'models' / 'small'}\n"


def test_pull_of_a_profile_fetches_its_models_and_notes_research_only_first(home: Path) -> None:
    extra = '[profiles.mine]\nfaces = "small"\nocr = "rapidocr-ppocr-v6-small"\n'
    user_model(home, extra.replace("[prof", 'note = "For research only."\n[prof'))
    text = (home / "models.toml").read_text()
    (home / "models.toml").write_text(text.replace("commercial = true", "commercial = false"))
    result = CliRunner().invoke(app, ["pull", "--profile", "mine"])
    assert result.stderr.startswith("small: For research only.")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["small", "rapidocr-ppocr-v6-small"]


def test_an_embedding_model_that_does_not_load_is_told_at_once(home: Path) -> None:
    user_model(home)
    text = (home / "models.toml").read_text().replace(FACES, HEAD)
    (home / "models.toml").write_text(text)
    assert isinstance(CliRunner().invoke(app, ["pull", "small"]).exception, ModelBroken)


def test_pull_of_nothing_asks_what_to_pull(home: Path) -> None:
    assert isinstance(CliRunner().invoke(app, ["pull"]).exception, UsageError)


def test_path_of_a_missing_model_is_an_error_with_its_command(home: Path) -> None:
    result = CliRunner().invoke(app, ["path", "openclip-vit-h-14"])
    assert isinstance(result.exception, ModelMissing)
    assert "photoindex models pull openclip-vit-h-14" in str(result.exception)
