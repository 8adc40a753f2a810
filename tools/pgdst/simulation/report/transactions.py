"""The transactions of a run: which steps belong to one, what it read and wrote, and how it ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pgdst.simulation.report.statements import Tables, tables_of
from pgdst.simulation.step import Step, StepKind

_ENDS = ("COMMIT", "ROLLBACK")


@dataclass
class Transaction:
    """Some steps of a client, by their places in the run's list of steps."""

    client: str
    steps: list[int] = field(default_factory=list)
    tables: dict[int, Tables] = field(default_factory=dict)  # by step, those of statements that were executed
    ends_at: int | None = None
    is_committed: bool = False
    begins: str = ""  # the BEGIN of its driver, which may name a level of isolation

    @property
    def has_one_snapshot(self) -> bool:
        """Whether its level of isolation is one at which all statements see the database as of the first."""
        return any(level in self.begins.upper() for level in ("REPEATABLE READ", "SERIALIZABLE"))

    def reads(self) -> Iterator[tuple[int, str]]:
        """Yield the places of its steps that read, with the table."""
        return ((at, name) for at, found in self.tables.items() for name in sorted(found.reads - found.writes))

    def writes(self) -> Iterator[tuple[int, str]]:
        """Yield the places of its steps that write, with the table."""
        return ((at, name) for at, found in self.tables.items() for name in sorted(found.writes))


def transactions_of(steps: Sequence[Step]) -> list[Transaction]:
    """Return the transactions of a run, in the order in which they begin. A statement alone is one as well."""
    found: list[Transaction] = []
    open_now: dict[str, Transaction] = {}
    for at, step in enumerate(steps):
        if step.kind in (StepKind.BEGINS, StepKind.FAULT, StepKind.TIME, StepKind.CONNECTS):
            continue
        if step.kind in (StepKind.ENDS, StepKind.CLOSES, StepKind.CANCELS):
            open_now.pop(step.client, None)
            continue
        now = open_now.get(step.client)
        if now is None:
            now = open_now[step.client] = Transaction(step.client)
            found.append(now)
        now.steps.append(at)
        now.begins = now.begins or step.begins
        if step.kind is StepKind.STATEMENT:
            _note(now, at, step)
            if not step.is_in_transaction:
                now.ends_at, now.is_committed = at, _commits(step)
                del open_now[step.client]
    return found


def _note(transaction: Transaction, at: int, step: Step) -> None:
    if not step.sqlstate and step.what not in _ENDS:
        transaction.tables[at] = tables_of(step.statement)


def _commits(step: Step) -> bool:
    return not step.sqlstate and not step.answer.startswith(("ROLLBACK", "connection lost"))
