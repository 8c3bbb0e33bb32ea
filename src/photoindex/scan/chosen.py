"""Which model does each task: the user's own choice, then the profile."""

from __future__ import annotations

from collections.abc import Mapping

from photoindex.models.registry import DEFAULT_PROFILE, Registry
from photoindex.models.spec import ModelSpec, Task
from photoindex.store.library import Library

PROFILE = "profile"
_CHOICE = "model for "


def chosen_models(library: Library, registry: Registry, profile: str | None = None) -> dict[Task, ModelSpec]:
    """The model for each task: of `profile` where one is asked for; else the library's choices over its own profile.

    Raises UnknownProfile, and UnknownModel for a choice that models.toml no longer holds.
    """
    if profile is not None:
        return dict(registry.for_profile(profile))
    settings = library.catalog.settings()
    models = dict(registry.for_profile(settings.get(PROFILE, DEFAULT_PROFILE)))
    return models | {task: registry.model(name) for task, name in choices_in(settings).items()}


def choices_in(settings: Mapping[str, str]) -> dict[Task, str]:
    """The models that `photoindex models use` chose, by task."""
    return {
        key.removeprefix(_CHOICE): value  # type: ignore[misc]
        for key, value in settings.items()
        if key.startswith(_CHOICE)
    }
