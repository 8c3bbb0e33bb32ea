"""What the `models` commands print: the list, one model in full, and what `verify` found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from photoindex.models.describe import FileState, ModelDetails, ModelState
from photoindex.models.verify import Checked
from photoindex.render.output import ObjectFormat, RowFormat, plain, print_json, print_rows, print_table
from photoindex.render.text import console, short_path, size, visible


def state_object(state: ModelState) -> dict[str, Any]:
    spec = state.spec
    return {
        "name": spec.name,
        "task": spec.task,
        "licence": spec.licence,
        "commercial": spec.commercial,
        "bytes": state.bytes,
        "installed": state.installed,
        "path": str(state.path) if state.path else None,
        "problem": state.problem,
        "profiles": list(state.profiles),
        "note": spec.note,
        "bytes_about": state.bytes_about,
    }


MODEL_COLUMNS = (
    *("name", "task", "licence", "commercial", "bytes", "installed", "path", "problem", "profiles", "note"),
    "bytes_about",
)
CHECKED_COLUMNS = ("model", "path", "verdict", "sha256", "expected")


def print_list(states: Sequence[ModelState], output: RowFormat, licence: bool) -> None:
    rows = [state_object(state) for state in states]
    print_rows(rows, output, MODEL_COLUMNS, lambda: _print_states(states, licence))


def _print_states(states: Sequence[ModelState], licence: bool) -> None:
    if licence:
        rows = [[s.spec.name, "yes" if s.spec.commercial else "no", s.spec.licence] for s in states]
        _print_names(["name", "commercial", "licence"], rows)
        return
    rows = [[s.spec.name, s.spec.task, _download(s), s.installed, ", ".join(s.profiles)] for s in states]
    _print_names(["name", "task", "size", "here", "profiles"], rows)


def _print_names(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column is never broken or wrapped: it is to be copied. The last one wraps between words."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    target = console()
    lines = box.SIMPLE_HEAD if target.is_terminal else None
    table = Table(box=lines, pad_edge=False, header_style="bold", padding=(0, 1) if lines is None else (0, 0))
    for header in headers:
        last = header == headers[-1]
        table.add_column(header, justify="right" if header == "size" else "left", no_wrap=not last, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    target.print(table)


def _download(state: ModelState) -> str:
    """Three digits at most, so that the table fits 80 columns; - where nothing is to be fetched, ~ where it is not
    known to the byte, ? where it is not known at all."""
    count = state.bytes if state.bytes is not None else state.bytes_about
    if count is None:
        return "?"
    shown = f"{count / 1e9:.1f} GB" if count >= 995e6 else f"{count / 1e6:.0f} MB" if count else "-"
    return shown if state.bytes is not None else f"~{shown}"


def details_object(details: ModelDetails) -> dict[str, Any]:
    spec = details.state.spec
    memory = details.memory
    return {
        **state_object(details.state),
        "architecture": spec.architecture,
        "source": spec.source,
        "revision": spec.revision,
        "input_size": spec.input_size,
        "width": spec.width,
        "runtimes": list(spec.runtimes),
        "thresholds": dict(spec.thresholds),
        "options": plain(spec.options),
        "package": spec.package,
        "files": [plain(file) for file in details.files],
        "forms": [{"path": str(form.path), "bytes": form.bytes} for form in details.forms],
        "memory": {"weights": memory.weights, "picture": dict(memory.picture)} if memory else None,
        "memory_stated": details.memory_stated,
        "fingerprint": details.fingerprint,
        "base": details.base,
        "used_by": list(details.resting),
    }


def print_model(details: ModelDetails, output: ObjectFormat) -> None:
    if output is ObjectFormat.json:
        print_json(details_object(details))
        return
    facts = [(name, text) for name, text in _facts(details) if text]
    print_table(["", ""], [(name, visible(text)) for name, text in facts])
    print()
    for file in details.files:
        print("  ".join(_file_facts(file)))
        if file.sha256:
            print(f"  sha256 {file.sha256}")
    if details.state.problem:
        print(f"\n{visible(details.state.problem)}")


def _facts(details: ModelDetails) -> list[tuple[str, str]]:
    spec, state = details.state.spec, details.state
    place = short_path(str(state.path)) if state.path else ""
    kind = f"  (in the package {spec.package})" if spec.package else "  (your own folder)" if spec.path else ""
    return [
        ("name", spec.name),
        ("task", f"{spec.task}, {spec.architecture}"),
        ("licence", f"{spec.licence}; commercial use {'allowed' if spec.commercial else 'not allowed'}"),
        ("note", spec.note),
        ("source", " @ ".join(text for text in (spec.source, spec.revision) if text)),
        ("download", _download(state) if spec.files and not spec.package else ""),
        ("installed", state.installed + kind),
        ("folder", place),
        ("made from it", ", ".join(f"{form.path.name} ({size(form.bytes)})" for form in details.forms)),
        ("version", details.fingerprint or ""),
        ("input", f"{spec.input_size} pixels" if spec.input_size else ""),
        ("vectors", f"{spec.width} wide" if spec.width else ""),
        ("memory", _memory(details)),
        ("runtimes", ", ".join(spec.runtimes)),
        ("thresholds", _pairs(spec.thresholds)),
        ("options", _pairs(spec.options)),
        ("profiles", ", ".join(state.profiles)),
        ("uses", details.base or ""),
        ("used by", ", ".join(details.resting)),
    ]


def _pairs(values: Any) -> str:
    return ", ".join(f"{key} = {value}" for key, value in values.items())


def _memory(details: ModelDetails) -> str:
    if details.memory is None:
        return ""
    pictures = ", ".join(f"{size(count)} {name}" for name, count in details.memory.picture.items())
    guess = "" if details.memory_stated else "  (estimated)"
    return f"{size(details.memory.weights)} of weights; a picture {pictures}{guess}"


def _file_facts(file: FileState) -> list[str]:
    """Its name, its size where that is known, and how much of it is here where it is not all."""
    facts = [visible(file.name), *([size(file.size)] if file.size else [])]
    if file.partial is not None:
        part = f"{file.partial / file.size:.0%}" if file.size else size(file.partial)
        return [*facts, f"({part} is here)"]
    if file.members:
        return [*facts, f"an archive of {', '.join(map(visible, file.members))}"]
    return facts if file.have is not None else [*facts, "(not here)"]


def checked_object(checked: Checked) -> dict[str, Any]:
    return plain({**{n: getattr(checked, n) for n in Checked.__slots__}, "path": str(checked.path)})  # type: ignore[no-any-return]


def print_checked(checked: Sequence[Checked], output: RowFormat) -> None:
    def table() -> None:
        print_table(["model", "file", "state"], [(c.model, visible(c.path.name), c.verdict) for c in checked])

    print_rows([checked_object(each) for each in checked], output, CHECKED_COLUMNS, table)
    sys.stdout.flush()
