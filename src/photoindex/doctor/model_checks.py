"""What the facts of models mean: what is missing, what it costs to get, and the command that does."""

from __future__ import annotations

from collections.abc import Sequence

from photoindex.doctor.models import ModelFacts
from photoindex.doctor.records import Finding, Level

_PULL = "photoindex models pull "
_GB, _MB = 10**9, 10**6


def check_models(models: Sequence[ModelFacts], free: int | None = None) -> list[Finding]:
    """Every check of the chosen models. `free`: bytes free on the disk where weights are kept."""
    missing = [facts for facts in models if facts.state == "missing"]
    found = [_missing(missing)] if missing else []
    found += _room(missing, free)
    found += [_unusable(facts) for facts in models if facts.state == "broken" or (facts.problem and not facts.command)]
    for facts in models:
        found += [_refused(facts, form, why) for form, why in facts.refused_forms.items()]
        if facts.prepared is False:
            text = f"{facts.model} is not prepared for this machine yet; a scan does that first, in about a minute."
            found.append(_finding("ok", "model_not_prepared", text))
    return found or [_finding("ok", "models", "The weights of all chosen models are there.")]


def _finding(level: Level, code: str, message: str, advice: str = "", *commands: str) -> Finding:
    return Finding(level, "models", code, message, advice, commands)


def _missing(missing: Sequence[ModelFacts]) -> Finding:
    tasks = ", ".join(facts.task for facts in missing if not facts.stand_in)
    poorer = [f"{facts.task} with {facts.stand_in}" for facts in missing if facts.stand_in]
    known = [facts.bytes for facts in missing if facts.bytes is not None]
    size = f" (about {_said(sum(known))})" if len(known) == len(missing) else ""
    does = [*([f"skip {tasks}"] if tasks else []), *([f"do {' and '.join(poorer)}"] if poorer else [])]
    text = f"Weights are not installed, so scans {' and '.join(does)}."
    return _finding("warning", "weights_missing", text, f"Fetch them{size}, then scan again:", *_commands(missing))


def _commands(missing: Sequence[ModelFacts]) -> list[str]:
    """One that fetches all that can be fetched, and what else is to be done, each command once."""
    commands = dict.fromkeys(facts.command for facts in missing if facts.command)
    pulled = [command.removeprefix(_PULL) for command in commands if command.startswith(_PULL)]
    others = [command for command in commands if not command.startswith(_PULL)]
    return [*([_PULL + " ".join(pulled)] if pulled else []), *others]


def _room(missing: Sequence[ModelFacts], free: int | None) -> list[Finding]:
    needed = sum(facts.bytes or 0 for facts in missing)
    if free is None or needed < free:
        return []
    text = f"The missing weights take {needed / _GB:.1f} GB; {free / _GB:.1f} GB are free on their disk."
    advice = "Make room, or set PHOTOINDEX_MODELS to a folder on a larger disk."
    return [_finding("problem", "no_room_for_weights", text, advice)]


def _said(size: int) -> str:
    return f"{size / _GB:.1f} GB" if size >= _GB else f"{size / _MB:.0f} MB"


def _unusable(facts: ModelFacts) -> Finding:
    text = facts.problem or f"{facts.model} cannot be used."
    return _finding("problem", "model_unusable", text, *(("Install it again:", facts.command) if facts.command else ()))


def _refused(facts: ModelFacts, form: str, why: str) -> Finding:
    if form == "text":  # nothing else encodes words, and making the form again from the same weights changes nothing
        text = f"{facts.model}: the form for queries failed its check: {why}."
        advice = "Words are not searched by meaning, and it makes no zero-shot tags. Choose another embedding model:"
        return _finding("problem", "form_refused", text, advice, "photoindex models list", "photoindex models use NAME")
    text = f"{facts.model}: the fast form for pictures failed its check and is not used: {why}."
    return _finding("warning", "form_refused", text, "torch runs it instead, which is slower and starts later.")
