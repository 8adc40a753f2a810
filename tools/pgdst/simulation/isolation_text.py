"""A run as a specification for PostgreSQL's own isolation tester.

Source: src/test/isolation/README of PostgreSQL 16.
"""

import re
from collections.abc import Sequence
from typing import Final

from pgdst.database.sql_time.sql_tokens import with_parameters
from pgdst.errors import ConfigurationError
from pgdst.simulation.step import Step, StepKind

_AT_A_STATEMENT: Final = (StepKind.STATEMENT, StepKind.WAITS)
KEYWORDS: Final = ("setup", "teardown", "session", "step", "permutation", "notices")
_COPY: Final = re.compile(r"\s*COPY\b.*\b(STDIN|STDOUT)\b", re.IGNORECASE | re.DOTALL)


def written(steps: Sequence[Step], setup: str, teardown: str) -> str:
    """Return the specification. Raises: ConfigurationError, where a step cannot be said in one."""
    sessions: dict[str, list[tuple[str, str]]] = {}
    permutation: list[str] = []
    waiting: set[str] = set()  # clients in a statement that has begun already
    for step in steps:
        _require_sayable(step)
        if step.kind not in _AT_A_STATEMENT:
            continue
        if step.client not in waiting:
            mine = sessions.setdefault(step.client, [])
            name = f"{step.client}_{len(mine) + 1}"
            mine.append((name, _sql(step)))
            permutation.append(name)
        (waiting.add if step.kind is StepKind.WAITS else waiting.discard)(step.client)
    blocks = [_block("setup", setup)] if setup.strip() else []
    blocks += [_block("teardown", teardown)] if teardown.strip() else []
    for client, mine in sessions.items():
        blocks.append("\n".join([f"session {_name(client)}", *(_block(f"step {_name(n)}", sql) for n, sql in mine)]))
    blocks.append(" ".join(["permutation", *map(_name, permutation)]))
    return "\n\n".join(blocks) + "\n"


def _require_sayable(step: Step) -> None:
    why = ""
    if step.kind is StepKind.FAULT:
        why = f"the fault {step.answer}"
    elif step.kind is StepKind.STOPS_INSIDE:
        why = "a stop inside a statement"
    elif step.kind is StepKind.CANCELS:
        why = "a cancel request"
    elif step.kind in _AT_A_STATEMENT and _COPY.match(step.statement):
        why = "COPY from or to a client"
    elif step.kind in _AT_A_STATEMENT and step.more:
        why = "several statements that were sent together"
    if why:
        raise ConfigurationError(f"The isolation tester has no words for {why} (step {step.number}, {step.client}).")


def _sql(step: Step) -> str:
    try:
        statement = with_parameters(step.statement, step.literals())
    except ValueError as error:
        raise ConfigurationError(f"Step {step.number} of {step.client} cannot be written as SQL: {error}.") from error
    begins = f"{step.begins.rstrip('; ')}; " if step.begins else ""
    return f"{begins}{statement};"


def _block(what: str, sql: str) -> str:
    """Return a block of SQL. Raises: ConfigurationError, if it has a brace: the tester knows no escape for one."""
    if "{" in sql or "}" in sql:
        raise ConfigurationError(f"The isolation tester allows no braces in SQL, but there is one in {sql.strip()!r}.")
    return f"{what} {{ {sql.strip()} }}"


def _name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) and name not in KEYWORDS else f'"{name}"'
