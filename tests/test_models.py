"""The model registry, and the words of tags."""

import re
from pathlib import Path

import pytest

from conftest import Shell
from photoindex.config import read_settings
from photoindex.errors import (
    RegistryInvalid,
    UnknownModel,
    UnknownProfile,
    UsageError,
)
from photoindex.models.memory import memory_of
from photoindex.models.registry import TASKS, Registry, bundled_file, load_registry
from photoindex.models.spec import InstalledModel
from photoindex.models.words import read_categories, read_vocabulary
from photoindex.store.library import Library

HEAD = 'task = "embedding"\narchitecture = "ViT-B-32"\nlicence = "MIT"\ncommercial = true\n'


def registry_with(folder: Path, text: str) -> Registry:
    (folder / "user.toml").write_text(text)
    return load_registry(folder / "user.toml")


# --- models.toml ---------------------------------------------------------------------------------------------------


ASKED_FOR = {"captions"}  # tasks that take long and run only when a user chooses a model for them


def test_every_profile_names_a_model_for_every_task() -> None:
    registry = load_registry(None)
    assert set(registry.profiles) >= {"quality", "fast", "permissive"}
    for profile in registry.profiles:
        assert {task: spec.task for task, spec in registry.for_profile(profile).items()} == {
            t: t for t in TASKS if t not in ASKED_FOR
        }


def test_the_permissive_profile_allows_commercial_use_and_insightface_does_not() -> None:
    registry = load_registry(None)
    assert all(spec.commercial for spec in registry.for_profile("permissive").values())
    for name in ("insightface-buffalo-l", "insightface-buffalo-s"):
        assert not registry.model(name).commercial
        assert "research only" in registry.model(name).note


def test_openclip_knows_every_architecture_tag_and_repository_of_the_registry() -> None:
    import open_clip

    for spec in load_registry(None).models.values():
        if spec.task == "embedding":
            tag = spec.options["pretrained"]
            assert (spec.architecture, tag) in open_clip.list_pretrained()
            assert open_clip.get_pretrained_cfg(spec.architecture, tag)["hf_hub"] == spec.source + "/"
            config = open_clip.get_model_config(spec.architecture)
            assert (config["embed_dim"], config["vision_cfg"]["image_size"]) == (spec.width, spec.input_size)


def test_every_openclip_architecture_of_the_registry_builds_and_is_as_wide_as_it_says() -> None:
    import open_clip
    import torch

    for spec in load_registry(None).models.values():
        if spec.task == "embedding":
            model = open_clip.create_model(
                spec.architecture, device="meta"
            )  # no weights: a gigabyte of them is not made
            pixels = torch.empty(1, 3, spec.input_size, spec.input_size, device="meta")
            assert model.encode_image(pixels).shape == (1, spec.width)
            assert model.encode_text(torch.empty(1, model.context_length, dtype=torch.long, device="meta")).shape == (
                1,
                spec.width,
            )


def test_every_download_is_pinned_to_a_revision() -> None:
    for spec in load_registry(None).models.values():
        for file in spec.files:
            pinned = f"/({re.escape(spec.revision)}|[0-9a-f]{{40}})/"  # a second repository has a commit of its own
            assert not file.url or re.search(pinned, file.url), file.url


def test_weights_without_a_checksum_come_from_the_hub_which_publishes_one() -> None:
    for spec in load_registry(None).models.values():
        for file in spec.files:
            assert file.sha256 or file.url.startswith("https://huggingface.co/"), file


def test_a_user_file_adds_and_replaces_blocks(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    text = f'[models.mine]\n{HEAD}path = "weights"\n[profiles.fast]\nembedding = "mine"\n'
    registry = registry_with(tmp_path, text)
    assert registry.for_profile("fast")["embedding"].path == tmp_path / "weights"
    assert "tags" not in registry.for_profile("fast")
    assert registry.profiles["quality"] == load_registry(None).profiles["quality"]


def test_every_model_of_the_registry_says_what_memory_it_takes() -> None:
    for spec in load_registry(None).models.values():
        assert spec.memory is not None, spec.name
        sizes = [file.size for file in spec.files]
        if sizes and None not in sizes:
            assert spec.memory.weights < 1.2 * sum(size or 0 for size in sizes), spec.name


def test_a_precision_that_a_block_does_not_name_takes_what_float32_takes(tmp_path: Path) -> None:
    text = f"[models.mine]\n{HEAD}{FILE}memory = {{ weights_mb = 1.5, picture_mb = {{ f32 = 20, bf16 = 10 }} }}\n"
    memory = registry_with(tmp_path, text).model("mine").memory
    assert memory is not None
    assert memory.weights == 1_500_000
    assert [memory.for_picture(name) for name in ("f32", "bf16", "f16")] == [20_000_000, 10_000_000, 20_000_000]


def test_the_memory_of_a_model_that_does_not_say_is_estimated_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(bytes(70_000))
    (tmp_path / "weights" / "readme.txt").write_bytes(bytes(90_000))
    spec = registry_with(tmp_path, f'[models.mine]\n{HEAD}path = "weights"\n').model("mine")
    assert spec.memory is None
    estimate = memory_of(InstalledModel(spec, tmp_path / "weights"))
    assert estimate.weights == 70_000
    assert estimate.for_picture("bf16") >= 10_000_000


def test_the_readmes_models_toml_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    [block] = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    registry = registry_with(tmp_path, block)
    assert registry.for_profile("mine")["embedding"].path == Path("/data/my-clip")


def test_a_user_file_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    assert load_registry(tmp_path / "none.toml") == load_registry(None)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    registry = load_registry(None)
    with pytest.raises(UnknownModel, match="yunet-sface"):
        registry.model("yunnet")
    with pytest.raises(UnknownProfile, match="permissive"):
        registry.for_profile("best")


FILE = 'files = [{ name = "w", url = "https://example.org/w" }]\n'
WORDS = (
    "[models.a]\ntask = 'tags'\narchitecture = 'zero-shot'\nlicence = 'MIT'\ncommercial = true\n"
    "options = { embedding = 'siglip2-b-32-256', vocabulary = 'vocabulary.txt', "
)
MISTAKES = {
    "syntax": ("[models", "syntax"),
    "a key at the top": ("model = 1", "model"),
    "models is no table": ("models = 1", "models"),
    "an unknown key": (f"[models.a]\n{HEAD}{FILE}license = 'MIT'", "license"),
    "a missing key": (f"[models.a]\ntask = 'ocr'\narchitecture = 'ppocr'\ncommercial = true\n{FILE}", "licence"),
    "text for a number": (f"[models.a]\n{HEAD}{FILE}width = 'wide'", "width"),
    "true for a number": (f"[models.a]\n{HEAD}{FILE}width = true", "width"),
    "text as a threshold": (f"[models.a]\n{HEAD}{FILE}thresholds = {{ text = 'low' }}", "thresholds.text"),
    "memory of an unknown kind": (f"[models.a]\n{HEAD}{FILE}memory = {{ ram_mb = 3 }}", "memory.ram_mb"),
    "memory without weights": (f"[models.a]\n{HEAD}{FILE}memory = {{ picture_mb = {{ f32 = 1 }} }}", "weights_mb"),
    "memory as text": (
        f"[models.a]\n{HEAD}{FILE}memory = {{ weights_mb = '3 GB', picture_mb = {{ f32 = 1 }} }}",
        "memory.weights_mb",
    ),
    "memory without float32": (
        f"[models.a]\n{HEAD}{FILE}memory = {{ weights_mb = 3, picture_mb = {{ bf16 = 1 }} }}",
        "memory.picture_mb.f32",
    ),
    "memory at an unknown precision": (
        f"[models.a]\n{HEAD}{FILE}memory = {{ weights_mb = 3, picture_mb = {{ f32 = 1, f8 = 1 }} }}",
        "memory.picture_mb.f8",
    ),
    "memory below nothing": (
        f"[models.a]\n{HEAD}{FILE}memory = {{ weights_mb = 3, picture_mb = {{ f32 = -1 }} }}",
        "memory.picture_mb.f32",
    ),
    "memory beyond numbers": (
        f"[models.a]\n{HEAD}{FILE}memory = {{ weights_mb = inf, picture_mb = {{ f32 = 1 }} }}",
        "memory.weights_mb",
    ),
    "an unknown task": (f"[models.a]\n{HEAD.replace('embedding', 'smell')}{FILE}", "task"),
    "an unknown runtime": (f"[models.a]\n{HEAD}{FILE}runtimes = ['abacus']", "runtimes"),
    "no weights": (f"[models.a]\n{HEAD}", "files"),
    "two kinds of weights": (f"[models.a]\n{HEAD}{FILE}path = 'here'", "files"),
    "a file without url": (f"[models.a]\n{HEAD}files = [{{ name = 'w' }}]", "url"),
    "a strange url": (f"[models.a]\n{HEAD}files = [{{ name = 'w', url = 'ftp://x/w' }}]", "files.w.url"),
    "plain http unproven": (f"[models.a]\n{HEAD}files = [{{ name = 'w', url = 'http://x/w' }}]", "files.w.sha256"),
    "a short checksum": (f"[models.a]\n{HEAD}files = [{{ name='w', url='file:/w', sha256='ab' }}]", "files.w.sha256"),
    "a file that climbs out": (f"[models.a]\n{HEAD}files = [{{ name = '../w', url = 'file:/w' }}]", "files"),
    "an absolute member": (f"[models.a]\n{HEAD}files = [{{ name='w', url='file:/w', unpack=['/w'] }}]", "files"),
    "a name with a slash": (f"[models.'../a']\n{HEAD}{FILE}", "name"),
    "an unknown task in a profile": ("[profiles.p]\nsmell = 'yunet-sface'", "smell"),
    "an unknown model in a profile": ("[profiles.p]\nfaces = 'nobody'", "faces"),
    "a model of another task": ("[profiles.p]\nocr = 'yunet-sface'", "ocr"),
    "zero-shot without embedding": (
        "[models.a]\ntask = 'tags'\narchitecture = 'zero-shot'\nlicence = 'MIT'\ncommercial = true",
        "options.embedding",
    ),
    "no files": (f"[models.a]\n{HEAD}files = []", "files"),
    "a file that is text": (f"[models.a]\n{HEAD}files = ['w']", "files"),
    "a file without a name": (f"[models.a]\n{HEAD}files = [{{ url = 'https://x/w' }}]", "name"),
    "an unknown key of a file": (f"[models.a]\n{HEAD}files = [{{ name='w', url='https://x/w', md5='0' }}]", "md5"),
    "a size as text": (f"[models.a]\n{HEAD}files = [{{ name='w', url='https://x/w', size='1 GB' }}]", "size"),
    "a negative size": (f"[models.a]\n{HEAD}files = [{{ name='w', url='https://x/w', size=-1 }}]", "files.w.size"),
    "a url without a host": (f"[models.a]\n{HEAD}files = [{{ name='w', url='https:///w' }}]", "files.w.url"),
    "a url that is none": (f"[models.a]\n{HEAD}files = [{{ name='w', url='https://[::1/w' }}]", "files.w.url"),
    "a url that is a path": (f"[models.a]\n{HEAD}files = [{{ name='w', url='/tmp/w' }}]", "files.w.url"),
    "two files of one name": (
        f"[models.a]\n{HEAD}files = [{{ name='w', url='https://x/w' }}, {{ name='W', url='https://x/v' }}]",
        "files",
    ),
    "a name of ours": (f"[models.a]\n{HEAD}files = [{{ name='installed.json', url='https://x/w' }}]", "files"),
    "a name of our forms": (f"[models.a]\n{HEAD}files = [{{ name='forms-1/w', url='https://x/w' }}]", "files"),
    "a hidden file": (f"[models.a]\n{HEAD}files = [{{ name='.w', url='https://x/w' }}]", "files"),
    "a name with a zero byte": (f'[models.a]\n{HEAD}files = [{{ name = "w\\u0000", url = "https://x/w" }}]', "files"),
    "nothing to unpack": (
        f"[models.a]\n{HEAD}files = [{{ name='w', url='https://x/w', unpack=[] }}]",
        "files.w.unpack",
    ),
    "a number to unpack": (f"[models.a]\n{HEAD}files = [{{ name='w', url='https://x/w', unpack=[1] }}]", "files"),
    "an empty licence": (f"[models.a]\n{HEAD.replace('MIT', ' ')}{FILE}", "licence"),
    "text for true": (f"[models.a]\n{HEAD.replace('= true', '= 1')}{FILE}", "commercial"),
    "no input": (f"[models.a]\n{HEAD}{FILE}input_size = 0", "input_size"),
    "a threshold that is no number": (f"[models.a]\n{HEAD}{FILE}thresholds = {{ text = nan }}", "thresholds.text"),
    "a runtime that is a number": (f"[models.a]\n{HEAD}{FILE}runtimes = [1]", "runtimes"),
    "options as a list": (f"[models.a]\n{HEAD}{FILE}options = []", "options"),
    "a model that is text": ("[models]\na = 'b'", "block"),
    "the home of nobody": (f"[models.a]\n{HEAD}path = '~nobody-of-this-name/w'", "path"),
    "a path with a zero byte": (f'[models.a]\n{HEAD}path = "w\\u0000"', "path"),
    "a profile that is text": ("[profiles]\na = 'b'", "block"),
    "a number for a model": ("[profiles.p]\nocr = 1", "ocr"),
    "tags on other vectors": (
        "[profiles.p]\nembedding = 'openclip-vit-h-14'\ntags = 'zero-shot-siglip2-b-32-256'",
        "tags",
    ),
    "tags on no vectors": ("[profiles.p]\ntags = 'zero-shot-siglip2-b-32-256'", "tags"),
    "an unknown scoring": (f"{WORDS}scoring = 'best' }}", "options.scoring"),
    "a template without a place": (f"{WORDS}template = 'a photo' }}", "options.template"),
    "a template in a list without": (f"{WORDS}template = ['a {{}}', 'b'] }}", "options.template"),
    "no limit": (f"{WORDS}limit = 0 }}", "options.limit"),
    "no vocabulary": (f"{WORDS.replace('vocabulary =', 'words =')}limit = 1 }}", "options.vocabulary"),
    "a vocabulary that is a number": (f"[models.a]\n{HEAD}{FILE}options = {{ vocabulary = 1 }}", "options.vocabulary"),
    "a vocabulary that is not there": (f"[models.a]\n{HEAD}{FILE}options = {{ vocabulary = 'no.txt' }}", "vocabulary"),
}


@pytest.mark.parametrize(("text", "key"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_file_block_and_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(RegistryInvalid) as caught:
        registry_with(tmp_path, text)
    file, _block, named, what = caught.value.args
    assert file == tmp_path / "user.toml"
    assert named.endswith(key)
    assert what


def test_a_registry_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe[models]")
    (tmp_path / "folder.toml").mkdir()
    for name in ("binary.toml", "folder.toml"):
        with pytest.raises(RegistryInvalid, match=name):
            load_registry(tmp_path / name)


def test_the_models_block_a_profile_mixes_up_are_both_named(tmp_path: Path) -> None:
    text = "[profiles.p]\nembedding = 'openclip-vit-h-14'\ntags = 'zero-shot-siglip2-b-32-256'"
    with pytest.raises(RegistryInvalid, match=r"\[profiles.p\] tags: .* model siglip2.*, but .* openclip-vit-h-14"):
        registry_with(tmp_path, text)


def test_the_bundled_file_is_found_in_this_installation() -> None:
    assert bundled_file().name == "models.toml"
    assert "[profiles.permissive]" in bundled_file().read_text()


# --- whose models.toml ---------------------------------------------------------------------------------------------


def test_the_usual_file_lies_in_the_configuration_folder_or_in_photoindex_home(tmp_path: Path) -> None:
    assert read_settings(env={"PHOTOINDEX_HOME": str(tmp_path)}).user_models == tmp_path / "models.toml"
    assert read_settings(env={}).user_models.name == "models.toml"


def test_another_file_is_chosen_by_option_before_environment_and_has_to_be_there(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).touch()
    env = {"PHOTOINDEX_MODELS_FILE": str(tmp_path / "a.toml"), "PHOTOINDEX_HOME": str(tmp_path)}
    assert read_settings(env=env).user_models == tmp_path / "a.toml"
    assert read_settings(env=env, models=str(tmp_path / "b.toml")).user_models == tmp_path / "b.toml"
    with pytest.raises(UsageError, match=r"--models: there is no file .*c\.toml"):
        read_settings(env=env, models=str(tmp_path / "c.toml"))
    with pytest.raises(UsageError, match="PHOTOINDEX_MODELS_FILE"):
        read_settings(env={"PHOTOINDEX_MODELS_FILE": str(tmp_path)})


@pytest.mark.parametrize(
    "command",
    [
        "scan .",
        "search x",
        "status",
        "doctor --quick",
        "bench",
        "tags thresholds",
        "tags set x 0.5",
        "tags apply",
        "models list",
        "models show yunet-sface",
        "models remove yunet-sface",
    ],
)
def test_a_command_that_reads_the_models_takes_a_file_of_them(run: Shell, tmp_path: Path, command: str) -> None:
    with Library.writing(run.folder):
        pass
    (tmp_path / "odd.toml").write_text("[models.odd]\ntask = 'smell'")
    refused = run(*command.split(), "--models", tmp_path / "odd.toml", code=RegistryInvalid.exit_code)
    assert "odd.toml: [models.odd] architecture: is missing" in refused.err


# --- words ---------------------------------------------------------------------------------------------------------


def test_the_vocabulary_holds_each_tag_once_in_lower_case() -> None:
    spec = load_registry(None).model("zero-shot-siglip2-b-32-256")
    path = Path(spec.options["vocabulary"])
    tags = read_vocabulary(path)
    assert len(tags) >= 600
    assert len(tags) == len(path.read_text().splitlines())
    assert all(re.fullmatch(r"[a-z0-9'-]+( [a-z0-9'-]+)*", tag) for tag in tags)
    assert {"receipt", "screenshot", "menu", "invoice", "whiteboard", "pizza", "dog", "beach", "wedding"} <= set(tags)


def test_the_categories_hold_only_tags_of_the_vocabulary() -> None:
    tags = set(read_vocabulary(Path(load_registry(None).model("zero-shot-siglip2-b-32-256").options["vocabulary"])))
    categories = read_categories()
    assert {"electronics", "food", "landscape", "documents", "people"} <= set(categories)
    for name, members in categories.items():
        assert set(members) <= tags, name
        assert len(members) == len(set(members)) >= 10, name


def test_categories_of_another_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('food = "pizza"')
    with pytest.raises(RegistryInvalid, match="list of tags"):
        read_categories(tmp_path / "c.toml")
