"""Thresholds of tags: shown, set, and applied to the kept scores without running any model."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from photoindex.errors import UsageError
from photoindex.models.registry import Registry
from photoindex.models.spec import ModelSpec
from photoindex.pure.tag_rules import in_force
from photoindex.records import TagRule, TagThreshold
from photoindex.scan.chosen import chosen_models
from photoindex.scan.documents import write_due_documents
from photoindex.steps.tag_rules import lowest_kept, model_rule, tag_names
from photoindex.store.library import Library

_APPLY = "photoindex tags apply"


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying thresholds did for one model. `stale`: its lists were not there, so its last known ones stayed."""

    model: str
    photos: int
    changed: int
    stale: bool = False


def tags_model(library: Library, registry: Registry, name: str | None = None) -> ModelSpec:
    """The model called `name`, or the one that tags this library. Raises UnknownModel and UsageError."""
    spec = registry.model(name) if name is not None else chosen_models(library, registry).get("tags")
    if spec is None or spec.task != "tags":
        known = ", ".join(model.name for model in registry.models.values() if model.task == "tags")
        which = "The library's profile names no model for tags" if spec is None else f"{spec.name} gives no tags"
        raise UsageError(f"{which}. Choose one with --model: {known}.")
    return spec


def tag_thresholds(library: Library, spec: ModelSpec, models_dir: Path) -> list[TagThreshold]:
    """Every threshold of the model and of the user: first the one for all other tags, then by tag."""
    given = _given(library, spec, models_dir)
    now, yours = library.tag_scores.in_force(spec.name), library.tag_scores.choices(spec.name)
    own, applied = (given.own if given else {}), (now.own if now else {})
    first = TagThreshold(
        None, given.at_least if given else None, yours.get(None), now.at_least if now is not None else None
    )
    tags = {*own, *applied, *(tag for tag in yours if tag is not None)}
    return [first, *(TagThreshold(tag, own.get(tag), yours.get(tag), applied.get(tag)) for tag in sorted(tags))]


def set_threshold(library: Library, spec: ModelSpec, models_dir: Path, tag: str | None, value: float) -> str | None:
    """Set the user's own threshold for a tag, or (None) for every tag without one. Returns the tag as it is spelt.

    Raises UsageError for a tag that the model does not know, and for a value that nothing kept can reach.
    """
    lowest = lowest_kept(spec)
    if not lowest <= value <= 1:
        reason = f"scores below {lowest} are not kept" if 0 <= value < lowest else "scores are from 0 to 1"
        raise UsageError(f"{value} is no threshold for {spec.name}: {reason}. Give one from {lowest} to 1.")
    spelt = None if tag is None else _spelt(tag, tag_names(spec, _given(library, spec, models_dir)), spec)
    library.tag_scores.set_choices(spec.name, {**library.tag_scores.choices(spec.name), spelt: value})
    return spelt


def reset_thresholds(library: Library, spec: ModelSpec, tags: Collection[str]) -> int:
    """Forget the user's own thresholds for these tags, or all of them where none is named. Raises UsageError."""
    yours = library.tag_scores.choices(spec.name)
    names = {tag.casefold(): tag for tag in yours if tag is not None}
    if unknown := [tag for tag in tags if tag.casefold() not in names]:
        have = ", ".join(sorted(names.values())) or "none"
        raise UsageError(f"You have set no threshold for {unknown[0]!r}. You have set: {have}.")
    gone = {names[tag.casefold()] for tag in tags} if tags else set(yours)
    library.tag_scores.set_choices(spec.name, {tag: value for tag, value in yours.items() if tag not in gone})
    return len(gone)


def apply_thresholds(library: Library, registry: Registry, models_dir: Path) -> list[Applied]:
    """Derive all tags anew from the kept scores, by models.toml and the user's thresholds as they are now.

    The full-text documents of what changed are written, too. Broken off, it goes on where it is run again.
    """
    done = []
    for name in library.tag_scores.models():
        before = library.tag_scores.given(name)
        fresh = model_rule(registry.models[name], models_dir) if name in registry.models else None
        given = fresh or before
        if given is None:
            continue
        rule = in_force(given, library.tag_scores.choices(name))
        library.tag_scores.put_rule(name, given, rule, applied=False)
        parts = list(library.tag_scores.derive_all(name))
        done.append(Applied(name, sum(p for p, _ in parts), sum(c for _, c in parts), stale=fresh is None))
    write_due_documents(library)
    library.vectors.compact()
    return done


def begin_tagging(library: Library, spec: ModelSpec, models_dir: Path) -> list[str]:
    """Before a scan: bring the model's rule into force where there is none yet. Returns what a person should know."""
    if library.tag_scores.in_force(spec.name) is None and (given := model_rule(spec, models_dir)) is not None:
        rule = in_force(given, library.tag_scores.choices(spec.name))
        library.tag_scores.put_rule(spec.name, given, rule, applied=True)
    return threshold_notes(library, {spec.name: spec}, models_dir)


def threshold_notes(library: Library, models: Mapping[str, ModelSpec], models_dir: Path) -> list[str]:
    """A line for each of these models whose tags in the library were chosen by other thresholds than those of now."""
    notes = []
    for name in library.tag_scores.models():
        now = library.tag_scores.in_force(name)
        given = model_rule(models[name], models_dir) if name in models else None
        if not library.tag_scores.is_applied(name):
            notes.append(f"Applying the thresholds of {name} was broken off. `{_APPLY}` does the rest.")
        elif given is not None and now != in_force(given, library.tag_scores.choices(name)):
            notes.append(f"The thresholds of {name} have changed since its tags were chosen. `{_APPLY}` applies them.")
    return notes


def _given(library: Library, spec: ModelSpec, models_dir: Path) -> TagRule | None:
    return model_rule(spec, models_dir) or library.tag_scores.given(spec.name)


def _spelt(tag: str, names: Collection[str], spec: ModelSpec) -> str:
    """The model's own spelling of a tag. A model whose list is not here is believed to know it."""
    spellings = {name.casefold(): name for name in names}
    if names and tag.casefold() not in spellings:
        near = difflib.get_close_matches(tag.casefold(), spellings, 3)
        hint = f" Did you mean {' or '.join(repr(spellings[name]) for name in near)}?" if near else ""
        raise UsageError(f"{spec.name} has no tag {tag!r}.{hint} `photoindex tags thresholds --all` lists them.")
    return spellings.get(tag.casefold(), tag)
