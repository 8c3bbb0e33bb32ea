"""Derived forms of an OpenCLIP model, made once: ONNX towers that start fast and need no torch, and the tokenizer.

They lie in `forms-<fingerprint>` inside the model's folder:
visual.onnx      `pixels` uint8 (n, size, size, 3) RGB -> `vectors` float32 (n, width), L2-normalised
text.onnx        `ids` int64 (n, tokens) -> `vectors` float32 (n, width), L2-normalised, graph already optimised
tokenizer.json   for the `tokenizers` library, and quick.json and its arrays for short texts (see quick_tokenizer)
check.npz        a few inputs with torch's outputs, which every runtime is compared with
forms.json       what a reader must know (see Forms), and why a form is missing
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photoindex.errors import ModelBroken, ModelMissing
from photoindex.models.spec import InstalledModel
from photoindex.records import View
from photoindex.runtimes.apart import Disturbed, run_module
from photoindex.runtimes.session import Arrays

FORMAT = 1
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".npz")
_ALONE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_USUAL_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of one model. `refused` says, by form (visual, text), why one is missing.

    `width` of the vectors; `context` tokens at most; `trim`: shorter batches may be given and mean the same;
    `clean`: OpenCLIP's word for how texts are cleaned; `start`, `end`, `pad`: token ids (start and end are None
    where the tokenizer itself adds what is needed); `logit_scale`: what cosines are multiplied with.
    """

    folder: Path
    model: str
    view: View
    width: int
    logit_scale: float
    logit_bias: float | None
    context: int
    trim: bool
    clean: str
    start: int | None
    end: int | None
    pad: int
    refused: Mapping[str, str]

    @property
    def visual(self) -> Path:
        return self.folder / "visual.onnx"

    @property
    def text(self) -> Path:
        return self.folder / "text.onnx"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    def check(self, form: str) -> tuple[Arrays, Arrays]:
        """Inputs for `form` (visual or text) and the outputs that torch gave."""
        name = "pixels" if form == "visual" else "ids"
        with np.load(self.folder / "check.npz", allow_pickle=False) as kept:
            return {name: kept[name]}, {"vectors": kept[f"{form}_vectors"]}


def forms_ready(installed: InstalledModel) -> bool:
    """Whether the forms of an embedding model are there and belong to its present weights."""
    return _find(installed) is not None


def read_forms(installed: InstalledModel) -> Forms:
    """The forms of an embedding model, or of the embedding model that a tags model leans on.

    Raises ModelMissing without weights, ModelBroken while the forms have not been made.
    """
    found = _find(installed)
    if found is None:
        raise ModelBroken(
            _owner(installed).spec.name, "it has not been prepared for this machine yet", _command(installed)
        )
    return found


def make_forms(installed: InstalledModel, stop: Callable[[], bool] = lambda: False) -> None:
    """Export the forms of an embedding model unless they are there: half a minute for a base model, once.

    A process of its own does it, so that torch's gigabytes go with it. Nothing is fetched. Raises ModelMissing
    without weights and ModelBroken for weights or architectures that do not load, a folder that is read-only, or once
    `stop` answers True.
    """
    owner = _owner(installed)
    if forms_ready(owner):
        return
    work = owner.derived / f".forms-{os.getpid()}"
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelBroken(owner.spec.name, f"{owner.derived} cannot be written ({error})", _command(owner)) from None
    try:
        _export(owner, work, stop)
        _publish(work, owner.derived / f"forms-{_fingerprint(owner)}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def as_forms(folder: Path, kept: Mapping[str, Any]) -> Forms:
    """The forms in `folder` as their forms.json, read to `kept`, describes them."""
    view = kept["view"]
    return Forms(
        folder=folder,
        model=kept["model"],
        view=View("embedding", view["mode"], view["size"], view["interpolation"]),
        width=kept["width"],
        logit_scale=kept["logit_scale"],
        logit_bias=kept["logit_bias"],
        **kept["text"],
        refused=kept["refused"],
    )


def find_checkpoint(installed: InstalledModel) -> Path:
    """The file with an embedding model's weights. Raises ModelMissing where there is none."""
    listed = [file.name for file in installed.spec.files if file.name.endswith(_WEIGHTS)]
    for name in (*listed, *_USUAL_NAMES):
        if (installed.path / name).is_file():
            return installed.path / name
    raise ModelMissing(installed.spec.name, _command(installed))


def write_order(installed: InstalledModel, work: Path) -> None:
    """Say in `order.json` what is to be exported into the folder `work`. Raises ModelMissing without weights."""
    options, checkpoint = installed.spec.options, find_checkpoint(installed)
    order = {
        "format": FORMAT,
        "model": installed.spec.name,
        "checkpoint": str(checkpoint.absolute()),
        "architecture": installed.spec.architecture,
        "config": str((installed.path / options["config"]).absolute()) if "config" in options else None,
        "pretrained": options.get("pretrained"),
        "preprocess": options.get("preprocess"),
    }
    (work / "order.json").write_text(json.dumps(order), encoding="utf-8")


def _export(installed: InstalledModel, work: Path, stop: Callable[[], bool]) -> None:
    write_order(installed, work)
    try:
        done = run_module("photoindex.steps.forms_export", [str(work)], stop=stop, env=_ALONE)
    except Disturbed as error:
        raise ModelBroken(installed.spec.name, f"preparing it: {error}", _command(installed)) from None
    if done.returncode != 0:
        raise ModelBroken(installed.spec.name, _reason(work, done.stderr), _command(installed))


def _reason(work: Path, stderr: str) -> str:
    refusal = work / "refused.txt"
    if refusal.is_file():
        return refusal.read_text(encoding="utf-8")
    return f"preparing it failed ({(stderr.strip().splitlines() or ['killed; too little memory?'])[-1]})"


def _publish(work: Path, target: Path) -> None:
    """Give the finished folder its name; older forms of the same model go, broken ones of this one too."""
    (work / "order.json").unlink()
    if target.is_dir() and _described(target) is None:
        shutil.rmtree(target)
    try:
        work.rename(target)
    except OSError:
        if _described(target) is None:
            raise
        return  # another process was first
    for other in target.parent.glob("forms-*"):
        if other != target and _model_of(other) == _model_of(target):
            shutil.rmtree(other, ignore_errors=True)


def _find(installed: InstalledModel) -> Forms | None:
    owner = _owner(installed)
    return _described(owner.derived / f"forms-{_fingerprint(owner)}")


def _described(folder: Path) -> Forms | None:
    """The forms in `folder`, or None where they are not there or not whole: they are made anew then."""
    try:
        kept = json.loads((folder / "forms.json").read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in kept.get("sizes", {}).items())
        return as_forms(folder, kept) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _fingerprint(installed: InstalledModel) -> str:
    """Changes with the weights and with everything else that the forms are made from."""
    checkpoint, spec = find_checkpoint(installed), installed.spec
    sums = [file.sha256 for file in spec.files if file.name == checkpoint.name and file.sha256]
    stat = checkpoint.stat()
    identity: list[str | int] = [*sums] or [stat.st_size, stat.st_mtime_ns]
    kept = {key: spec.options.get(key) for key in ("config", "pretrained", "preprocess")}
    described = json.dumps([FORMAT, spec.architecture, checkpoint.name, identity, kept], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def _model_of(folder: Path) -> str | None:
    forms = _described(folder)
    return forms.model if forms else None


def _owner(installed: InstalledModel) -> InstalledModel:
    """The embedding model whose forms are meant: a zero-shot tagger's base, else the model itself."""
    return installed.base or installed


def _command(installed: InstalledModel) -> str:
    return f"photoindex models pull {_owner(installed).spec.name}"
