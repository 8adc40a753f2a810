"""The transactions of a run: which steps belong to one, what it read and wrote, and how it ended."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pgdst.database.sql_time.sql_tokens import tokens
from pgdst.simulation.report.statements import Tables, tables_of
from pgdst.simulation.step import Step, StepKind

ENDS: Final = ("COMMIT", "ROLLBACK")
_NO_ROW: Final = re.compile(r"(INSERT 0|UPDATE|DELETE|MERGE|SELECT) 0( #|\Z)")
_TAKE_NO_SNAPSHOT: Final = frozenset({"set", "show", "reset", "lock", "savepoint", "release", "rollback", "begin"})


@dataclass
class Transaction:
    """Some steps of a client, by their places in the run's list of steps."""

    client: str
    steps: list[int] = field(default_factory=list)
    tables: dict[int, Tables] = field(default_factory=dict)  # by step, those of statements that were executed
    ends_at: int | None = None
    is_committed: bool = False
    begins: str = ""  # the BEGIN of its driver, which may name a level of isolation
    snapshot_at: int | None = None  # the first step of a statement that takes one
    _savepoints: list[tuple[str, int]] = field(default_factory=list)  # their names, and the steps that made them

    @property
    def has_one_snapshot(self) -> bool:
        """Whether its level of isolation is one at which all statements see the database as of the first."""
        return any(level in self.begins.upper() for level in ("REPEATABLE READ", "SERIALIZABLE"))

    def reads(self) -> Iterator[tuple[int, str]]:
        """Yield the places of its steps that read, with the table."""
        return ((at, name) for at, found in self.tables.items() for name in sorted(found.reads - found.writes))

    def writes(self) -> Iterator[tuple[int, str]]:
        """Yield the places of its steps that write, with the table; not of what it has rolled back to a savepoint."""
        return ((at, name) for at, found in self.tables.items() for name in sorted(found.writes))

    def note(self, at: int, step: Step) -> None:
        """Note a statement that was executed without an error."""
        words = [token.text for token in tokens(step.statement)]
        self.tables[at] = found = tables_of(step.statement)
        if _NO_ROW.match(step.answer) and not step.more and ";" not in words:
            found.writes.clear()
        if words[:1] == ["savepoint"]:
            self._savepoints.append((words[-1], at))
        elif words[:1] == ["rollback"] and "to" in words:
            made = max((made for name, made in self._savepoints if name == words[-1]), default=-1)
            for place, tables in self.tables.items():
                if place > made:
                    tables.writes.clear()


def transactions_of(steps: Sequence[Step]) -> list[Transaction]:
    """Return the transactions of a run, in the order in which they begin. A statement alone is one as well."""
    found: list[Transaction] = []
    open_now: dict[tuple[str, int | None], Transaction] = {}  # a client may have several, on several connections
    for at, step in enumerate(steps):
        if step.kind not in _OF_A_TRANSACTION:
            continue
        where = step.client, step.pid
        now = open_now.get(where)
        if now is None:
            now = open_now[where] = Transaction(step.client)
            found.append(now)
        now.steps.append(at)
        now.begins = now.begins or step.begins
        if now.snapshot_at is None and _takes_a_snapshot(step):
            now.snapshot_at = at
        if step.kind is StepKind.STATEMENT:
            if not step.sqlstate and step.what not in ENDS:
                now.note(at, step)
            if not step.is_in_transaction:
                now.ends_at, now.is_committed = at, _commits(step)
                del open_now[where]
    return found


_OF_A_TRANSACTION: Final = (StepKind.STATEMENT, StepKind.WAITS, StepKind.STOPS_INSIDE, StepKind.GOES_ON)


def _takes_a_snapshot(step: Step) -> bool:
    first = next(tokens(step.statement), None)
    return first is not None and first.text not in _TAKE_NO_SNAPSHOT


def _commits(step: Step) -> bool:
    return not step.sqlstate and not step.answer.startswith(("ROLLBACK", "connection lost"))
