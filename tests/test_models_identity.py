"""What counts as another version of a model, and what a library does when it meets one."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from conftest import TINY_CLIP, Shell, draw
from photoindex.errors import ModelBroken, NoVectors, RegistryInvalid
from photoindex.models.download import sha256_of
from photoindex.models.identity import HASHES, fingerprint
from photoindex.models.install import locate, pull
from photoindex.models.registry import load_registry
from photoindex.models.spec import InstalledModel
from photoindex.records import Analysed, FoundFile, Outcome
from photoindex.store.catalog import Wanted
from photoindex.store.library import Library
from photoindex.store.migrations import MIGRATIONS, _model_versions

HEAD = 'task = "embedding"\narchitecture = "ViT-B-32"\nlicence = "MIT"\ncommercial = true\n'


def installed(folder: Path, extra: str = "", content: bytes = b"weights") -> InstalledModel:
    """A model of one fetched file, as the registry finds it after `pull`."""
    (folder / "w.bin").write_bytes(content)
    block = f'[models.small]\n{HEAD}files = [{{ name = "w.bin", url = "{(folder / "w.bin").as_uri()}" }}]\n{extra}'
    (folder / "user.toml").write_text(block)
    registry = load_registry(folder / "user.toml")
    return pull(registry, registry.model("small"), folder / "models", lambda *_: None)


# --- the fingerprint -----------------------------------------------------------------------------------------------


def test_a_fingerprint_is_short_and_stable(tmp_path: Path) -> None:
    first = fingerprint(installed(tmp_path))
    assert len(first) == 12
    assert fingerprint(installed(tmp_path)) == first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert fingerprint(installed(elsewhere)) == first


@pytest.mark.parametrize(
    "extra",
    [
        'note = "x"',
        "thresholds = { probability = 0.5 }",
        "options = { limit = 3 }",
        'runtimes = ["torch"]',
        'source = "a book"',
    ],
)
def test_what_does_not_change_results_does_not_change_it(tmp_path: Path, extra: str) -> None:
    assert fingerprint(installed(tmp_path, extra)) == fingerprint(installed(tmp_path))


@pytest.mark.parametrize(
    "extra", ['revision = "2"', "input_size = 64", "width = 8", 'options = { preprocess = { mode = "squash" } }']
)
def test_what_changes_results_changes_it(tmp_path: Path, extra: str) -> None:
    assert fingerprint(installed(tmp_path, extra)) != fingerprint(installed(tmp_path))


def test_other_weights_change_it_and_another_architecture_does(tmp_path: Path) -> None:
    model = installed(tmp_path)
    other = dataclasses.replace(model, spec=dataclasses.replace(model.spec, architecture="ViT-B-16"))
    assert fingerprint(other) != fingerprint(model)
    (tmp_path / "second").mkdir()
    assert fingerprint(installed(tmp_path / "second", content=b"others")) != fingerprint(model)


def test_what_was_hashed_before_it_was_broken_off_is_not_read_again(tmp_path: Path) -> None:
    model, read = own_folder(tmp_path), list[str]()
    (model.path / "a.onnx").write_bytes(b"one")
    (model.path / "b.onnx").write_bytes(b"two")

    def follow(name: str, done: int, total: int | None) -> None:
        read.append(name)
        assert done == total
        if len(read) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fingerprint(model, follow)
    fingerprint(model, follow)
    assert read == ["a.onnx", "b.onnx", "b.onnx"]


def own_folder(tmp_path: Path) -> InstalledModel:
    (tmp_path / "mine" / "sub").mkdir(parents=True, exist_ok=True)
    (tmp_path / "user.toml").write_text(f'[models.mine]\n{HEAD}path = "mine"\noptions = {{ config = "c.json" }}\n')
    registry = load_registry(tmp_path / "user.toml")
    return locate(registry, registry.model("mine"), tmp_path / "models")


def test_the_weights_in_a_users_own_folder_count_and_its_notes_do_not(tmp_path: Path) -> None:
    model = own_folder(tmp_path)
    (model.path / "w.safetensors").write_bytes(b"one")
    (model.path / "c.json").write_text("{}")
    first = fingerprint(model)
    (model.path / "README.md").write_text("about it")
    (model.path / "vocabulary.txt").write_text("dog")
    assert fingerprint(model) == first
    (model.path / "c.json").write_text("[]")
    second = fingerprint(model)
    (model.path / "sub" / "more.onnx").write_bytes(b"more")
    assert len({first, second, fingerprint(model)}) == 3


def test_a_users_own_weights_are_hashed_once_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, hashed = own_folder(tmp_path), []
    (model.path / "w.safetensors").write_bytes(b"one")
    monkeypatch.setattr("photoindex.models.identity.sha256_of", lambda path, _: hashed.append(path.name) or "0" * 64)
    assert fingerprint(model) == fingerprint(model)
    assert hashed == ["w.safetensors"]
    assert not (model.path / HASHES).exists()  # nothing is written into the user's folder
    assert (tmp_path / "models" / "mine" / HASHES).exists()
    (model.path / "w.safetensors").write_bytes(b"longer")
    (tmp_path / "models" / "mine" / "x").touch()
    fingerprint(model)
    assert hashed == ["w.safetensors"] * 2


def test_a_record_of_hashes_that_is_no_such_thing_is_made_anew(tmp_path: Path) -> None:
    model = own_folder(tmp_path)
    (model.path / "w.onnx").write_bytes(b"one")
    first = fingerprint(model)
    for odd in ("{ half", "[]", '{"w.onnx": 1}', '{"w.onnx": [1, 2]}'):
        (tmp_path / "models" / "mine" / HASHES).write_text(odd)
        assert fingerprint(model) == first


def test_weights_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own_folder(tmp_path)
    (model.path / "w.onnx").write_bytes(b"one")

    def fail(path: Path, _: object) -> str:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("photoindex.models.identity.sha256_of", fail)
    with pytest.raises(ModelBroken, match=r"w\.onnx cannot be read \(Input/output error\)"):
        fingerprint(model)


def test_fetched_weights_that_changed_since_are_not_used(tmp_path: Path) -> None:
    model = installed(tmp_path)
    first = fingerprint(model)
    path = model.path / "w.bin"
    times = path.stat()
    path.write_bytes(b"WEIGHTS")  # as long as before
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ModelBroken, match=r"w\.bin is not what was installed.*photoindex models pull small"):
        fingerprint(model)
    path.write_bytes(b"weights")
    assert fingerprint(model) == first


def test_fetched_weights_are_hashed_once_and_never_where_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, hashed = installed(tmp_path), []
    real = sha256_of(model.path / "w.bin")
    monkeypatch.setattr("photoindex.models.identity.sha256_of", lambda path, _: hashed.append(path.name) or real)
    assert fingerprint(model) == fingerprint(model)
    assert hashed == ["w.bin"]
    (model.path / HASHES).unlink()
    monkeypatch.setattr("photoindex.models.identity.os.access", lambda *_: False)
    assert fingerprint(model)
    assert hashed == ["w.bin"]


def test_weights_are_hashed_once_in_a_process_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, hashed = own_folder(tmp_path), []
    (model.path / "w.onnx").write_bytes(b"one")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr("photoindex.models.identity.sha256_of", lambda path, _: hashed.append(path.name) or "0" * 64)
    assert fingerprint(model) == fingerprint(model)
    assert hashed == ["w.onnx"]
    assert not (tmp_path / "models" / "mine" / HASHES).exists()
    (model.path / "w.onnx").write_bytes(b"longer")
    fingerprint(model)
    assert hashed == ["w.onnx"] * 2


def test_weights_that_were_pulled_are_hashed_no_more(
    tmp_path: Path, run: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path)  # its models.toml
    registry = load_registry(tmp_path / "user.toml")
    monkeypatch.setenv("PHOTOINDEX_MODELS", str(tmp_path / "pulled"))
    monkeypatch.setattr("photoindex.cli.model_files._finish", lambda _: None)  # it is no real model
    run("models", "pull", "small", "--models", tmp_path / "user.toml")
    model = locate(registry, registry.model("small"), tmp_path / "pulled")
    real, hashed = sha256_of(model.path / "w.bin"), []
    monkeypatch.setattr("photoindex.models.identity.sha256_of", lambda path, _: hashed.append(path.name) or real)
    pulled = fingerprint(model)
    assert hashed == []
    (model.path / HASHES).unlink()
    assert fingerprint(model) == pulled
    assert hashed == ["w.bin"]


def words_model(tmp_path: Path, words: str, **options: Any) -> InstalledModel:
    base = own_folder(tmp_path)
    (tmp_path / "words.txt").write_text(words)
    (base.path / "w.onnx").write_bytes(options.pop("weights", b"one"))
    given = {"embedding": "mine", "vocabulary": "words.txt", **options}
    fields = ", ".join(f'{key} = "{value}"' for key, value in given.items())
    with (tmp_path / "user.toml").open("a") as out:
        out.write('[models.words]\ntask="tags"\narchitecture="zero-shot"\nlicence="MIT"\ncommercial=true\n')
        out.write(f"options = {{ {fields} }}\n")
    registry = load_registry(tmp_path / "user.toml")
    return locate(registry, registry.model("words"), tmp_path / "models")


def test_words_template_and_embedding_model_decide_zero_shot_tags(tmp_path: Path) -> None:
    first = fingerprint(words_model(tmp_path, "dog\ncat\n"))
    assert fingerprint(words_model(tmp_path, "# animals\ndog\n\ncat\ndog")) == first
    others = [
        fingerprint(words_model(tmp_path, "dog\nhorse\n")),
        fingerprint(words_model(tmp_path, "dog\ncat\n", template="one {}")),
        fingerprint(words_model(tmp_path, "dog\ncat\n", weights=b"other")),
    ]
    assert len({first, *others}) == 4
    with pytest.raises(RegistryInvalid, match="empty"):
        fingerprint(words_model(tmp_path, "# none\n"))


def test_the_bundled_models_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    registry = load_registry(None)
    model = locate(registry, registry.model("rapidocr-ppocr-v6-small"), tmp_path)
    assert len(fingerprint(model)) == 12
    assert not (tmp_path / model.spec.name).exists()  # models.toml has the checksums: nothing to hash


# --- the store -----------------------------------------------------------------------------------------------------


def one_photo(model: str, made_by: str | None, value: float = 1.0) -> Analysed:
    vector = np.full(4, value, np.float16)
    done = Outcome("embedding", 1, "done", vector, model, "r", fingerprint=made_by)
    return Analysed(FoundFile("/p/a.jpg", "/p", 1, 1, 1, 1), "ab" * 32, (done,))


def due(library: Library, made_by: str | None) -> bool:
    return bool(library.catalog.due([Wanted("embedding", 1, "m", made_by)], 1))


def test_another_version_of_a_model_is_due_and_no_version_is_as_good_as_any(library: Library) -> None:
    library.save([one_photo("m", "one")])
    assert not due(library, "one")
    assert due(library, "two")
    assert not due(library, None)


def test_what_was_made_before_versions_were_noted_counts_as_the_present_one_for_good(library: Library) -> None:
    library.save([one_photo("m", None)])
    assert not due(library, "one")
    library.expect_versions([Wanted("embedding", 1, "m", "one")])
    assert not due(library, "one")
    assert due(library, "two")
    assert library.vectors.tables() == ["image-m"]


def test_vectors_of_another_version_are_set_aside_and_come_back_with_it(library: Library) -> None:
    one, two = (Wanted("embedding", 1, "m", version) for version in ("one", "two"))
    library.expect_versions([one])
    library.save([one_photo("m", "one", 1.0)])
    library.expect_versions([one])
    assert library.vectors.tables() == ["image-m"]
    library.expect_versions([two])
    assert library.vectors.tables() == ["image-m.one"]
    library.save([one_photo("m", "two", 2.0)])
    assert library.vectors.count("image-m") == library.vectors.count("image-m.one") == 1
    library.expect_versions([one])
    assert library.vectors.tables() == ["image-m", "image-m.two"]
    [(_, vector)] = library.vectors.vectors_of("image-m", library.catalog.photo_ids()).items()
    assert vector.tolist() == [1.0] * 4
    library.expect_versions([two])
    assert library.vectors.tables() == ["image-m", "image-m.one"]


def test_a_library_of_before_gets_the_new_column_and_keeps_its_rows(tmp_path: Path) -> None:
    before = MIGRATIONS.index(_model_versions)
    with duckdb.connect(tmp_path / "catalog.duckdb") as con:
        con.execute("CREATE TABLE schema_migrations (version INTEGER, applied_at TIMESTAMP)")
        for number, migration in enumerate(MIGRATIONS[:before], 1):
            migration(con)
            con.execute("INSERT INTO schema_migrations VALUES (?, now()::TIMESTAMP)", [number])
        con.execute("INSERT INTO photos VALUES (1, 'ab', 1, now()::TIMESTAMP)")
        con.execute("INSERT INTO files (path, photo_id) VALUES ('/p/a.jpg'::BLOB, 1)")
        con.execute("INSERT INTO ledger (photo_id, step, version, status, model) VALUES (1,'embedding',1,'done','m')")
    with Library.writing(tmp_path) as library:
        assert not due(library, "one")
        library.expect_versions([Wanted("embedding", 1, "m", "one")])
        assert due(library, "two")
        with library.catalog.file.read() as con:
            assert con.execute("SELECT model, status, fingerprint FROM ledger").fetchall() == [("m", "done", "one")]


# --- a scan --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for tiny-clip's derived forms, made by the first test that scans."""
    return tmp_path_factory.mktemp("forms")


@pytest.fixture
def mine(run: Shell, tmp_path: Path, forms: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """tiny-clip in the user's own models.toml, its words in a file that a test may change; two photos."""
    blocks = (TINY_CLIP / "models.toml").read_text().replace('path = "."', f'path = "{TINY_CLIP}"')
    run.home.mkdir()
    (run.home / "models.toml").write_text(blocks)
    (run.home / "vocabulary.txt").write_text((TINY_CLIP / "vocabulary.txt").read_text())
    (tmp_path / "p").mkdir()
    for seed in range(2):
        draw(seed).save(tmp_path / "p" / f"{seed}.png")
    shell_env = {"PHOTOINDEX_MODELS": str(forms)}
    for key, value in shell_env.items():
        monkeypatch.setenv(key, value)
    return run


def scan(run: Shell) -> dict[str, dict[str, int]]:
    steps = ("--profile", "tiny", "--steps", "embedding,tags", "--workers", "1", "--format", "json")
    done: dict[str, dict[str, int]] = run("scan", run.home.parent / "p", *steps).json["steps"]
    return done


def edit(run: Shell, old: str, new: str) -> None:
    text = (run.home / "models.toml").read_text()
    assert old in text
    (run.home / "models.toml").write_text(text.replace(old, new, 1))


@pytest.mark.slow
def test_a_changed_vocabulary_makes_the_tags_due_and_a_changed_model_its_vectors_too(mine: Shell) -> None:
    run = mine
    assert scan(run) == {"embedding": {"done": 2}, "tags": {"done": 2}}
    assert scan(run) == {}
    edit(run, "probability = 0.1", "probability = 0.2")
    assert scan(run) == {}
    with (run.home / "vocabulary.txt").open("a") as out:
        out.write("submarine\n")
    assert scan(run) == {"tags": {"done": 2}}
    run("search", "pizza", "--mode", "semantic")
    edit(run, 'path = "', 'revision = "2"\npath = "')
    refused = run("search", "pizza", "--mode", "semantic", code=NoVectors.exit_code)
    assert "another version of tiny-clip. Scan again" in refused.err
    assert scan(run) == {"embedding": {"done": 2}, "tags": {"done": 2}}
    run("search", "pizza", "--mode", "semantic")
    tables = run.open().vectors.tables()
    assert len([name for name in tables if name.startswith("image-tiny-clip.")]) == 1
    assert run.open().vectors.count("image-tiny-clip") == 2
