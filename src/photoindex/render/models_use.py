"""What `photoindex models use` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from photoindex.models.spec import ModelSpec
from photoindex.records import ModelChange
from photoindex.render.output import ObjectFormat, plain, print_json, print_table
from photoindex.scan.use import Used


def print_in_use(
    models: Mapping[Any, ModelSpec],
    choices: Mapping[Any, str],
    change: ModelChange | None,
    output: ObjectFormat,
) -> None:
    """Which model does each task, and whether the user chose it or the profile did."""
    by = {task: "you" if task in choices else "profile" for task in models}
    if output is ObjectFormat.json:
        rows = [{"task": task, "model": model.name, "chosen_by": by[task]} for task, model in models.items()]
        print_json({"models": rows, "change": plain(change)})
        return
    print_table(["task", "model", "chosen by"], [(str(task), model.name, by[task]) for task, model in models.items()])
    if change is not None:
        print_table(["", ""], [("change", change_text(change))])


def print_used(used: Used, freed: Mapping[str, int], output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        told = {"chosen": used.chosen, "change": used.change, "due": used.due, "freed": freed}
        print_json({**told, "report": used.report})
        return
    rows = [(str(task), model, f"{used.due.get(task, 0):,}") for task, model in used.chosen.items()]
    print_table(["task", "model", "photos due"], rows, right=("photos due",))
    if used.change is not None:
        print_table(["", ""], [("change", change_text(used.change))])


def change_text(change: ModelChange) -> str:
    """Old and new model with how far the new vectors have come."""
    why = f" ({change.problem})" if change.problem else ""
    return f"{change.before} → {change.after}, {change.done:,} of {change.total:,}{why}"
