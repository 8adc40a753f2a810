"""One sentence that says what happened in a run that went wrong. It states facts of the run, in order."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.report.statements import answer_of, locks_rows, shorten, tables_of
from pgdst.simulation.report.transactions import ENDS, Transaction, transactions_of
from pgdst.simulation.result import Result
from pgdst.simulation.step import Step, StepKind

Transactions = Sequence[Transaction]

_DEADLOCK: Final = "40P01"
# A wait for a lock of a whole table may come before the snapshot.
_LOCKS_TABLES: Final = re.compile(
    r"\s*(LOCK|ALTER|TRUNCATE|DROP|CREATE|REINDEX|CLUSTER|VACUUM|REFRESH|DO|CALL)\b", re.IGNORECASE
)
_STATEMENT_SHOWN: Final = 40  # characters


def explanation(result: Result) -> str:
    """Return what happened, in a sentence; nothing where no rule fits."""
    found = transactions_of(result.steps)
    for rule in (
        _faults,
        _deadlock,
        _hang,
        _unseen_commit,
        _late_snapshot,
        _old_snapshot,
        _two_moments,
        _errors,
        _preemption,
    ):
        if said := next(rule(result, found), ""):
            return said
    return ""


def _faults(result: Result, _found: Transactions) -> Iterator[str]:
    """A fault, and what its client did again after it."""
    steps = result.steps
    for number, fault in result.schedule.faults.items():
        hit = [step for step in steps if step.number == number and step.kind is not StepKind.FAULT]
        if not hit:
            continue
        name = hit[0].client
        text = f"{name}'s {_short(hit[0])}" if hit[0].statement else name
        mine = [step for step in steps if step.client == name and step.statement and step.what not in ENDS]
        before = {step.text for step in mine if step.number < number}
        again = [s for s in mine if s.number > number and s.text in before]
        did = f", and {name} sent {_short(again[0])} again at step {again[0].number}" if again else ""
        yield f"{_EFFECTS.get(fault, f'The fault {fault} hit')} {text} at step {number}{did}."


_EFFECTS = {
    Fault.COMMIT_DONE: "The connection was lost after the server had executed",
    Fault.COMMIT_UNDONE: "The connection was lost before the server executed",
    Fault.LOST: "The connection was lost at",
    Fault.CRASH: "The server crashed at",
    Fault.CLOCK: "The clock jumped ahead before",
    Fault.CLOCK_BACK: "The clock was set back before",
}


def _deadlock(result: Result, _found: Transactions) -> Iterator[str]:
    """A cycle of waits."""
    steps = result.steps
    for at, step in enumerate(steps):
        if step.sqlstate == _DEADLOCK:
            said = [
                f"{one.client} waited for {' or '.join(one.waits_for)} ({_short(one)}, step {one.number})"
                for one in _waits_of_a_cycle(steps[:at], step.client)
            ]
            if said:
                yield f"{' while '.join(said)}: a deadlock, and Postgres ended {step.client}'s statement."


def _waits_of_a_cycle(steps: Sequence[Step], victim: str) -> list[Step]:
    """Return the waits that have not ended by now, of the victim and of those for whom it waits, in order."""
    waits: dict[str, Step] = {}
    for step in steps:
        if step.kind is StepKind.WAITS:
            waits[step.client] = step
        elif step.kind is not StepKind.FAULT:
            waits.pop(step.client, None)
    names, found = [victim], set[str]()
    while names:
        if (name := names.pop()) in waits and name not in found:
            found.add(name)
            names += waits[name].waits_for
    return [step for name, step in waits.items() if name in found]


def _hang(result: Result, _found: Transactions) -> Iterator[str]:
    """A wait that nobody can end."""
    steps = result.steps
    last = {step.client: step for step in steps}
    for name in result.outcomes:
        step = last.get(name)
        if step is None or step.kind is not StepKind.WAITS:
            continue
        others = [f"{one}, which {_state(last[one])}" for one in step.waits_for if one in last]
        yield f"{name}'s {_short(step)} waits since step {step.number} for {' and '.join(others)}."


def _state(last: Step) -> str:
    if last.kind is StepKind.ENDS:
        return f"ended at step {last.number} and left the lock to its connection"
    return f"waits itself since step {last.number}" if last.kind is StepKind.WAITS else "does not go on"


def _unseen_commit(result: Result, found: Transactions) -> Iterator[str]:
    """A client reads, another one changes that and commits, and the first one writes."""
    steps = result.steps
    for name in result.outcomes:
        mine = [one for one in found if one.client == name]
        reads = sorted(r for one in mine for r in one.reads())
        writes = sorted(w for one in mine if one.is_committed for w in one.writes())
        for other, end in _committed(found):
            changed = {table for _, table in other.writes()}
            read = [(at, table) for at, table in reads if at < end and table in changed]
            later = [(at, table) for at, table in writes if at > end]
            if other.client == name or not read or not later:
                continue
            (read_at, table), (written_at, written) = read[-1], later[0]
            if any(end < at < written_at and again == table for at, again in reads):
                continue  # it has seen the change
            yield (
                f"{name} read {table} at step {steps[read_at].number}{_seen(steps[read_at])}, "
                f"{_changed(other, {table}, read_at)} it and committed at step {steps[end].number}, and {name} wrote "
                f"{'it' if written == table else written} at step {steps[written_at].number}."
            )


def _late_snapshot(result: Result, found: Transactions) -> Iterator[str]:
    """A statement reads, then stops inside or waits; another client changes that and commits; the statement goes on."""
    steps = result.steps
    for at, step in enumerate(steps):
        if step.kind not in (StepKind.STOPS_INSIDE, StepKind.WAITS):
            continue
        done = next((i for i, s in enumerate(steps) if i > at and _is_end(s, step)), None)
        if done is None or steps[done].sqlstate:
            continue
        for other, end in _committed(found):
            changed = {name for _, name in other.writes()} & tables_of(step.statement).reads
            if other.client != step.client and at < end < done and changed:
                went_on = (
                    "with what it had read" if _keeps_its_snapshot(step, steps) else f"at step {steps[done].number}"
                )
                yield (
                    f"{step.client}'s {_short(step)} began at step {step.number}, {_changed(other, changed, at)} "
                    f"{' and '.join(sorted(changed))} and committed at step {steps[end].number}, and the "
                    f"statement went on {went_on}."
                )


def _keeps_its_snapshot(step: Step, steps: Sequence[Step]) -> bool:
    """Return whether a statement that stopped or waited reads nothing anew after it.

    What locks rows reads them anew, and what waits for the lock of a whole table has not begun to read.
    """
    if locks_rows(step.statement):
        return False
    if step.kind is StepKind.STOPS_INSIDE:
        return True
    return bool(tables_of(step.statement).writes) and not any(_LOCKS_TABLES.match(one.statement) for one in steps)


def _old_snapshot(result: Result, found: Transactions) -> Iterator[str]:
    """A transaction takes its snapshot, another client commits, and the transaction reads what it was before."""
    steps = result.steps
    for one in found:
        if not one.has_one_snapshot:
            continue
        began = one.snapshot_at
        if began is None:
            continue
        for other, end in _committed(found):
            changed = {name for _, name in other.writes()}
            read = [(at, name) for at, name in one.reads() if at > end and name in changed]
            if other.client != one.client and began < end and read:
                at, name = read[0]
                yield (
                    f"{one.client}'s transaction sees the database as it was at step {steps[began].number}, "
                    f"{_changed(other, {name}, began)} {name} and committed at step {steps[end].number}, and "
                    f"{one.client} read "
                    f"{name} at step {steps[at].number}{_seen(steps[at])} without that."
                )


def _two_moments(result: Result, found: Transactions) -> Iterator[str]:
    """A client reads before and after another one's commit."""
    steps = result.steps
    for other, end in _committed(found):
        changed = {name for _, name in other.writes()}
        for one in found:
            reads = [(at, name) for at, name in one.reads() if name in changed]
            before, after = [r for r in reads if r[0] < end], [r for r in reads if r[0] > end]
            if one.client == other.client or not before or not after:
                continue
            (early, first), (late, last) = before[-1], after[0]
            yield (
                f"{one.client} read {first} at step {steps[early].number}{_seen(steps[early])}, before "
                f"{other.client}'s commit at step {steps[end].number}, and {last} at step {steps[late].number}"
                f"{_seen(steps[late])}, after it."
            )


def _errors(result: Result, _found: Transactions) -> Iterator[str]:
    steps = result.steps
    for step in steps:
        if step.sqlstate:
            error = " ".join(step.error.split()).rstrip(".")
            yield f"{step.client}'s {_short(step)} failed at step {step.number}: {step.sqlstate} {error}."


def _preemption(result: Result, _found: Transactions) -> Iterator[str]:
    steps = result.steps
    for at, step in enumerate(steps):
        if step.preempts and at:
            stopped = steps[at - 1]
            following = next((one for one in steps[at:] if one.client == stopped.client), None)
            if following is not None:
                what = f"{stopped.client}'s {_short(following)}" if following.statement else f"{stopped.client} did"
                yield f"{step.client} went on at step {step.number}, before {what}."


def _committed(found: Transactions) -> Iterator[tuple[Transaction, int]]:
    """Yield the transactions that committed, each with the place of the step in which it did."""
    return ((one, one.ends_at) for one in found if one.ends_at is not None and one.is_committed)


def _changed(other: Transaction, tables: set[str], since: int) -> str:
    """Return who changed something, and that it was before a step if it was."""
    is_later = any(at > since for at, name in other.writes() if name in tables)
    return f"{other.client} {'changed' if is_later else 'had changed'}"


def _is_end(step: Step, of: Step) -> bool:
    return step.client == of.client and step.kind is StepKind.STATEMENT


def _seen(step: Step) -> str:
    return f" ({answer_of(step)})" if step.rows is not None and step.rows.columns else ""


def _short(step: Step) -> str:
    return shorten(" ".join(step.statement.split()), _STATEMENT_SHOWN) if step.statement else step.what
