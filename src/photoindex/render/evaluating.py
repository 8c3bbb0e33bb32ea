"""What `photoindex eval` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from photoindex.evaluate import ALL_TYPES, Evaluation, Score, Scored, summarised
from photoindex.render.output import plain, print_json, print_table
from photoindex.render.text import visible

_MEASURES = ("recall", "ndcg", "mrr", "empty_right")
_SAME = 5e-4
_MOST_CHANGES = 40


def evaluation_object(found: Evaluation, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The JSON object of docs/json.md."""
    shown: dict[str, Any] = plain(found)
    if before is not None:
        shown["changes"] = [
            {"id": new["id"], "mode": new["mode"], "before": old, "after": _value(new)}
            for new, old in _changes(shown["rows"], before["rows"])
        ]
    return shown


def print_evaluation(found: Evaluation, before: Mapping[str, Any] | None, as_json: bool) -> None:
    if as_json:
        print_json(evaluation_object(found, before))
        return
    old = _scores_before(found, before["rows"]) if before else {}
    headers = ["mode", "type", "queries", f"recall@{found.k}", "nDCG@10", "MRR", "about nothing", "said so"]
    rows = [_cells(score, old.get((score.mode, score.type))) for score in found.scores if _worth(score, found)]
    print_table(headers, rows, right=headers[2:])
    if before:
        changes = _changes(plain(found.rows), before["rows"])
        lines = [
            (new["mode"], new["id"], visible(new["query"]), f"{was:.2f}", f"{_value(new):.2f}") for new, was in changes
        ]
        print_table(["changed", "id", "query", "before", "after"], lines[:_MOST_CHANGES], right=("before", "after"))


def _worth(score: Score, found: Evaluation) -> bool:
    """With one type only, its rows would say twice what is said of all."""
    return score.type == ALL_TYPES or len({other.type for other in found.scores}) > 2


def _scores_before(found: Evaluation, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Score]:
    """The earlier scores of the questions that are asked now, however many more were asked then."""
    asked = {(row.mode, row.id, row.query) for row in found.rows}
    same = [Scored(**row) for row in rows if (row["mode"], row["id"], row["query"]) in asked]
    return {(score.mode, score.type): score for score in summarised(same)}


def _cells(score: Score, before: Score | None) -> list[str]:
    def cell(name: str) -> str:
        value, old = getattr(score, name), getattr(before, name, None)
        if value is None:
            return ""
        moved = f" ({value - old:+.3f})" if old is not None and abs(value - old) > _SAME else ""
        return f"{value:.3f}{moved}"

    recall, ndcg, mrr, right = map(cell, _MEASURES)
    return [score.mode, score.type, str(score.queries), recall, ndcg, mrr, str(score.empty or ""), right]


def _changes(
    rows: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], float]]:
    """Questions that are answered better or worse than before, with what they were; the worst first."""
    old = {(row["mode"], row["id"], row["query"]): _value(row) for row in before}
    found = [(row, old[key]) for row in rows if (key := (row["mode"], row["id"], row["query"])) in old]
    changed = [(row, was) for row, was in found if abs(_value(row) - was) > _SAME]
    return sorted(changed, key=lambda item: _value(item[0]) - item[1])


def _value(row: Mapping[str, Any]) -> float:
    """What a question's answer is worth: its nDCG, or for one about nothing whether that was said."""
    return float(row["ndcg"] if row["ndcg"] is not None else bool(row["empty"]))


def problems(rows: Sequence[Scored]) -> list[str]:
    """What could not be asked, each reason once."""
    return list(dict.fromkeys(f"{row.mode}: {row.query}: {row.problem}" for row in rows if row.problem))
