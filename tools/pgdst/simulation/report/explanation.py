"""One sentence that says what happened in a run that went wrong. It states facts of the run, in order."""

from collections.abc import Iterator, Sequence
from typing import Final

from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.report.statements import answer_of, shorten, tables_of
from pgdst.simulation.report.transactions import Transaction, transactions_of
from pgdst.simulation.result import Result
from pgdst.simulation.step import Step, StepKind

_DEADLOCK: Final = "40P01"
_STATEMENT_SHOWN: Final = 40  # characters


def explanation(result: Result) -> str:
    """Return what happened, in a sentence; nothing where no rule fits."""
    steps = result.steps
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
        if found := next(rule(result, steps), ""):
            return found
    return ""


def _faults(result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A fault, and what its client did again after it."""
    for number, fault in result.schedule.faults.items():
        hit = [step for step in steps if step.number == number and step.kind is not StepKind.FAULT]
        if not hit:
            continue
        name = hit[0].client
        text = f"{name}'s {_short(hit[0])}" if hit[0].statement else name
        before = {step.text for step in steps if step.client == name and step.number < number and step.statement}
        again = [s for s in steps if s.client == name and s.number > number and s.text in before]
        did = f", and {name} did it again from step {again[0].number}" if again else ""
        yield f"{_EFFECTS.get(fault, f'The fault {fault} hit')} {text} at step {number}{did}."


_EFFECTS = {
    Fault.COMMIT_DONE: "The connection was lost after the server had executed",
    Fault.COMMIT_UNDONE: "The connection was lost before the server executed",
    Fault.LOST: "The connection was lost at",
    Fault.CRASH: "The server crashed at",
    Fault.CLOCK: "The clock jumped ahead before",
    Fault.CLOCK_BACK: "The clock was set back before",
}


def _deadlock(_result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A cycle of waits."""
    for at, step in enumerate(steps):
        if step.sqlstate == _DEADLOCK:
            waits = {one.client: one for one in steps[:at] if one.kind is StepKind.WAITS}
            said = [
                f"{name} waited for {' or '.join(one.waits_for)} ({_short(one)}, step {one.number})"
                for name, one in waits.items()
            ]
            yield f"{' while '.join(said)}: a deadlock, and Postgres ended {step.client}'s transaction."


def _hang(result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A wait that nobody can end."""
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


def _unseen_commit(result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A client reads, another one changes that and commits, and the first one writes."""
    found = transactions_of(steps)
    for name in result.outcomes:
        mine = [one for one in found if one.client == name]
        reads, writes = sorted(r for one in mine for r in one.reads()), sorted(w for one in mine for w in one.writes())
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
                f"{name} read {table} at step {steps[read_at].number}{_seen(steps[read_at])}, {other.client} changed "
                f"it and committed at step {steps[end].number}, and {name} wrote "
                f"{'it' if written == table else written} at step {steps[written_at].number}."
            )


def _late_snapshot(_result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A statement reads, then stops inside or waits; another client changes that and commits; the statement goes on."""
    found = transactions_of(steps)
    for at, step in enumerate(steps):
        if step.kind not in (StepKind.STOPS_INSIDE, StepKind.WAITS):
            continue
        done = next((i for i, s in enumerate(steps) if i > at and _is_end(s, step)), len(steps))
        for other, end in _committed(found):
            changed = {name for _, name in other.writes()} & tables_of(step.statement).reads
            if other.client != step.client and at < end < done and changed:
                yield (
                    f"{step.client}'s {_short(step)} began at step {step.number}, {other.client} changed "
                    f"{' and '.join(sorted(changed))} and committed at step {steps[end].number}, and the "
                    "statement went on with what it had read."
                )


def _old_snapshot(_result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A transaction takes its snapshot, another client commits, and the transaction reads what it was before."""
    found = transactions_of(steps)
    for one in found:
        if not one.has_one_snapshot:
            continue
        began = one.steps[0]
        for other, end in _committed(found):
            changed = {name for _, name in other.writes()}
            read = [(at, name) for at, name in one.reads() if at > end and name in changed]
            if other.client != one.client and began < end and read:
                at, name = read[0]
                yield (
                    f"{one.client}'s transaction sees the database as it was at step {steps[began].number}, "
                    f"{other.client} changed {name} and committed at step {steps[end].number}, and {one.client} read "
                    f"{name} at step {steps[at].number}{_seen(steps[at])} without that."
                )


def _two_moments(_result: Result, steps: Sequence[Step]) -> Iterator[str]:
    """A client reads before and after another one's commit."""
    found = transactions_of(steps)
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


def _errors(_result: Result, steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if step.sqlstate:
            yield f"{step.client}'s {_short(step)} failed at step {step.number}: {step.sqlstate} {step.error}."


def _preemption(_result: Result, steps: Sequence[Step]) -> Iterator[str]:
    for at, step in enumerate(steps):
        if step.preempts and at:
            stopped = steps[at - 1]
            following = next((one for one in steps[at:] if one.client == stopped.client), None)
            if following is not None:
                yield f"{step.client} went on at step {step.number}, before {stopped.client}'s {_short(following)}."


def _committed(found: Sequence[Transaction]) -> Iterator[tuple[Transaction, int]]:
    """Yield the transactions that committed, each with the place of the step in which it did."""
    return ((one, one.ends_at) for one in found if one.ends_at is not None and one.is_committed)


def _is_end(step: Step, of: Step) -> bool:
    return step.client == of.client and step.kind is StepKind.STATEMENT


def _seen(step: Step) -> str:
    return f" ({answer_of(step)})" if step.rows is not None and step.rows.columns else ""


def _short(step: Step) -> str:
    return shorten(step.statement, _STATEMENT_SHOWN) if step.statement else step.what
