"""Changing the embedding model of a library: new vectors beside the old, searched once no photo would lose by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from photoindex.errors import UsageError
from photoindex.models.registry import Registry
from photoindex.models.spec import ModelSpec, Task
from photoindex.records import ModelChange
from photoindex.scan.chosen import chosen_models
from photoindex.scan.steps import Steps, resolve_steps
from photoindex.scan.task import DECODE_VERSION
from photoindex.steps import STEPS
from photoindex.store.library import Library
from photoindex.store.vectors import face_table, image_table

EMBEDDING = "embedding_model"
_TABLES = {"embedding": image_table, "faces": face_table}


def embedding_change(library: Library, steps: Steps) -> ModelChange | None:
    """How far the vectors of the steps' embedding model have come beside those that are searched; None without both.

    Photos whose files are missing cannot be read again and do not count. One that fails with the new model counts as
    done: waiting for it would mean waiting for ever.
    """
    before, after = library.catalog.settings().get(EMBEDDING), steps.embedding_model
    if before is None or after is None or before == after or not library.vectors.has(image_table(before)):
        return None
    had = set(library.catalog.present_among(library.vectors.ids(image_table(before)).tolist()))
    if "embedding" in steps.skipped:
        return ModelChange(before, after, 0, len(had), steps.skipped["embedding"].message)
    wanted = [want for want in steps.wanted() if want.step == "embedding"]
    if not wanted:
        return None
    lack = had & library.catalog.due(wanted, DECODE_VERSION).keys()
    return ModelChange(before, after, len(had) - len(lack), len(had))


def take_back_vectors(library: Library, steps: Steps) -> int:
    """Count vectors of the steps' embedding model from before as done where they still lie there. Returns how many."""
    wanted = [want for want in steps.wanted() if want.step == "embedding"]
    model = wanted[0].model if wanted else None
    if model is None or not library.vectors.has(image_table(model)) or not library.catalog.has_aside(model):
        return 0
    return library.catalog.take_back(wanted[0], library.vectors.ids(image_table(model)).tolist())


def pending_change(library: Library, registry: Registry, models_dir: Path) -> ModelChange | None:
    """The change of the embedding model that is not complete yet, for people to see."""
    models = chosen_models(library, registry)
    if "embedding" not in models or library.catalog.settings().get(EMBEDDING) in (None, models["embedding"].name):
        return None
    return embedding_change(library, resolve_steps([STEPS["embedding"]], registry, models, models_dir))


def settle_embedding(library: Library, steps: Steps) -> ModelChange | None:
    """Search the new vectors if they are complete. Returns the change that was made, or goes on."""
    before, after = library.catalog.settings().get(EMBEDDING), steps.embedding_model
    asked = any(spec.name == "embedding" for spec in steps.specs)
    if not asked or after is None or before == after or not library.vectors.has(image_table(after)):
        return None
    change = embedding_change(library, steps)
    if change is None or change.complete:
        library.catalog.set_setting(EMBEDDING, after)
    return change


def due_photos(library: Library, registry: Registry, models_dir: Path, task: Task) -> int:
    """How many photos the steps of this task are due for, with the models that are chosen now."""
    specs = [spec for spec in STEPS.values() if spec.task == task]
    steps = resolve_steps(specs, registry, chosen_models(library, registry), models_dir)
    return len(library.catalog.due(steps.wanted(), DECODE_VERSION))


def table_of(task: Task) -> Callable[[str], str]:
    """How the vectors' tables of a task are called, by model. Raises UsageError for tasks without."""
    if task not in _TABLES:
        raise UsageError(f"Results for {task} are replaced photo by photo: nothing of other models is kept.")
    return _TABLES[task]


def drop_old_vectors(library: Library, registry: Registry, models_dir: Path, spec: ModelSpec) -> Mapping[str, int]:
    """Delete the vectors of other models that do the task of `spec`. Returns the bytes freed by table.

    Raises UsageError where `spec` is not in use yet, or has nothing beside it.
    """
    table = table_of(spec.task)
    in_use = chosen_models(library, registry).get(spec.task)
    if in_use is None or in_use.name != spec.name:
        raise UsageError(f"{spec.name} is not in use here. `photoindex models use {spec.name}` changes to it.")
    if spec.task == "embedding":
        _settled(library, resolve_steps([STEPS["embedding"]], registry, {"embedding": in_use}, models_dir))
    if spec.task == "faces" and (due := due_photos(library, registry, models_dir, "faces")):
        raise UsageError(f"{due:,} photos still have the faces of another model. Scan first.")
    others = [name for name in library.vectors.tables() if name.startswith(table("")) and name != table(spec.name)]
    library.catalog.forget_aside(spec.task)
    return {name: library.vectors.drop(name) for name in others}


def _settled(library: Library, steps: Steps) -> None:
    change = settle_embedding(library, steps)
    if change is not None and not change.complete:
        raise UsageError(f"{describe(change)}. The old vectors are searched until then, and stay.")


def describe(change: ModelChange) -> str:
    """A change in words: "embedding: old → new, 312 of 490"."""
    why = f" ({change.problem})" if change.problem else ""
    return f"embedding: {change.before} → {change.after}, {change.done:,} of {change.total:,}{why}"
