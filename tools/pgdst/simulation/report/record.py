"""A run as plain data, which JSON can hold: for files, for pages and for other programs."""

import json
import linecache
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pgdst.simulation.report.explanation import explanation
from pgdst.simulation.report.statements import answer_of
from pgdst.simulation.report.transactions import transactions_of
from pgdst.simulation.result import Result
from pgdst.simulation.step import Step

VERSION: Final = 1  # of the format
_AROUND: Final = 5  # lines of code before and behind a line


def record(result: Result) -> dict[str, Any]:
    """Return a run: its clients, steps, transactions, schedule, and the code that its steps came from.

    A transaction has the places of its first and last step in `steps`, from 0.
    """
    return {
        "version": VERSION,
        "happened": explanation(result),
        "schedule": str(result.schedule),
        "hash": result.trace.hexdigest(),
        "clients": [{"name": name, "outcome": str(outcome)} for name, outcome in result.outcomes.items()],
        "steps": [_step(step) for step in result.steps],
        "transactions": [
            {"client": one.client, "first": one.steps[0], "last": one.steps[-1], "is_committed": one.is_committed}
            for one in transactions_of(result.steps)
        ],
        "code": _code(result.steps),
    }


def _step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {
        "number": step.number,
        "client": step.client,
        "kind": step.kind,
        "text": step.text,
        "answer": answer_of(step),
        "preempts": step.preempts,
    }
    optional: dict[str, Any] = {
        "statement": step.statement,
        "parameters": list(step.parameters),
        "sqlstate": step.sqlstate,
        "error": step.error,
        "waits_for": list(step.waits_for),
        "code": step.code and {"file": step.code.file, "line": step.code.line, "function": step.code.function},
        "rows": step.rows
        and {
            "columns": list(step.rows.columns),
            "values": [list(row) for row in step.rows.values],
            "count": step.rows.count,
            "hash": step.rows.digest,
        },
    }
    return found | {name: value for name, value in optional.items() if value}


def _code(steps: Sequence[Step]) -> dict[str, dict[int, str]]:
    """Return the lines around those that the steps came from, by file and number."""
    found: dict[str, dict[int, str]] = {}
    for place in {step.code for step in steps if step.code is not None}:
        all_lines = linecache.getlines(place.file)
        lines = found.setdefault(place.file, {})
        for number in range(max(1, place.line - _AROUND), min(len(all_lines), place.line + _AROUND) + 1):
            lines[number] = all_lines[number - 1].rstrip("\n")
    return {file: dict(sorted(found[file].items())) for file in sorted(found)}


def in_a_page(told: dict[str, Any]) -> str:
    """Return a page of HTML that shows a run. It needs no other file and no network."""
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    data = json.dumps(told).replace("<", "\\u003c")  # it stands in a script element
    return page.replace("/*record*/null", data)
