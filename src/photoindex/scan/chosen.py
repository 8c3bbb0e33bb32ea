"""Which model does each task in a library: the user's own choice, then the profile that it was last scanned with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from photoindex.errors import ProfileGone, UsageError
from photoindex.models.registry import DEFAULT_PROFILE, TASKS, Registry
from photoindex.models.spec import ZERO_SHOT, ModelSpec, Task
from photoindex.steps import STEPS, StepSpec
from photoindex.store.library import Library

PROFILE = "profile"
CHOICE = "model for {}"


def chosen_models(library: Library, registry: Registry, profile: str | None = None) -> dict[Task, ModelSpec]:
    """The model for each task: of `profile` where one is asked for; else the library's choices over its own profile.

    Raises UnknownProfile, ProfileGone for the library's own, and UnknownModel for a choice that models.toml no longer
    holds.
    """
    if profile is not None:
        return dict(registry.for_profile(profile))
    settings = library.catalog.settings()
    name = settings.get(PROFILE, DEFAULT_PROFILE)
    if name not in registry.profiles:
        raise ProfileGone(name, registry.profiles)
    models = dict(registry.for_profile(name))
    return models | {task: registry.model(name) for task, name in choices_in(settings).items()}


def choices_in(settings: Mapping[str, str]) -> dict[Task, str]:
    """The models that `photoindex models use` chose, by task."""
    return {cast("Task", task): settings[key] for task in TASKS if (key := CHOICE.format(task)) in settings}


def remember_profile(library: Library, profile: str | None) -> str:
    """Before a scan: a profile that is asked for replaces what was chosen before. Returns the library's profile."""
    name = profile or library.catalog.settings().get(PROFILE, DEFAULT_PROFILE)
    forgotten = {CHOICE.format(task): None for task in TASKS} if profile is not None else {}
    library.catalog.set_settings({PROFILE: name, **forgotten})
    return name


def choose_model(library: Library, registry: Registry, spec: ModelSpec) -> dict[Task, ModelSpec]:
    """From now on `spec` does its task in this library. Returns all that was chosen.

    Zero-shot tags go along to the vectors of another embedding model. Raises UsageError where no tags model fits.
    """
    now = chosen_models(library, registry)
    chosen: dict[Task, ModelSpec] = {spec.task: spec}
    base, tags = (now | chosen).get("embedding"), (now | chosen).get("tags")
    if base is not None and tags is not None and tags.architecture == ZERO_SHOT:
        wanted = str(tags.options["embedding"])
        if wanted != base.name and spec.task == "tags":
            raise UsageError(
                f"{spec.name} builds on the vectors of {wanted}, and this library's are of {base.name}."
                f" Run `photoindex models use {wanted}` first."
            )
        if wanted != base.name:
            chosen["tags"] = _zero_shot_on(registry, base, tags)
    library.catalog.set_settings({CHOICE.format(task): model.name for task, model in chosen.items()})
    return chosen


def _zero_shot_on(registry: Registry, base: ModelSpec, tags: ModelSpec) -> ModelSpec:
    for other in registry.models.values():
        if other.architecture == ZERO_SHOT and other.options["embedding"] == base.name:
            return other
    others = [
        model.name for model in registry.models.values() if model.task == "tags" and model.architecture != ZERO_SHOT
    ]
    raise UsageError(
        f"The tags of this library are by {tags.name}, which does not build on the vectors of {base.name}."
        f" Add a zero-shot block for {base.name} to your models.toml, or choose other tags first:"
        f" `photoindex models use {others[0]}`."
    )


def with_optional(specs: Sequence[StepSpec], models: Mapping[Task, ModelSpec]) -> list[StepSpec]:
    """These steps, and the optional ones for whose task there is a model."""
    return [*specs, *(spec for spec in STEPS.values() if spec.optional and spec.task in models and spec not in specs)]


def models_asked_for(
    registry: Registry, models: Mapping[Task, ModelSpec], names: Collection[str] | None
) -> dict[Task, ModelSpec]:
    """The models, and for optional steps called by name that nobody chose a model for the first of their task."""
    found = dict(models)
    for task in [spec.task for spec in STEPS.values() if spec.optional and spec.name in (names or ())]:
        known = [model for model in registry.models.values() if model.task == task]
        if task is not None and task not in found and known:
            found[task] = known[0]
    return found
