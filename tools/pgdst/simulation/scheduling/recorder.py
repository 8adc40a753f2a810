"""Writes a run down: a step and a line of the trace for each thing that happens."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from pgdst.simulation.clients.client import Client
from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.batch import CANCELS, CLOSES, CONNECTS, Batch
from pgdst.simulation.gate.exchange import Answer
from pgdst.simulation.result import Result
from pgdst.simulation.scheduling import words
from pgdst.simulation.step import Step, StepKind

_KINDS: Final = {CONNECTS.text: StepKind.CONNECTS, CANCELS.text: StepKind.CANCELS, CLOSES.text: StepKind.CLOSES}
_NO_ANSWER: Final = Answer()


class Recorder:
    """Adds steps to the result of a run. `begin_step` says which step of the schedule they belong to."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._number, self._preempts = 0, False

    def begin_step(self, number: int, *, preempts: bool) -> None:
        """Begin a step of the schedule."""
        self._number, self._preempts = number, preempts
        self._result.preemptions += preempts

    def note_choice(self, number: int, candidates: Sequence[Client], chosen: Client) -> None:
        """Put into the trace which clients can take the step of this number, and which faults can hit it."""
        able = ", ".join([f"{client.name} at {words.short(client.pause)}" for client in candidates])
        self._result.trace.append(f"{number} can be of {able}; possible faults: {words.faults_at(chosen.pause)}")

    def note_answer(self, client: Client, batch: Batch, told: str, answer: Answer) -> None:
        """Note the end of a batch: `told` for the trace, and what else the server has answered."""
        self.note_batch(client, batch, told, _KINDS.get(batch.text, StepKind.STATEMENT), answer=answer)

    def note_wait(self, client: Client, batch: Batch, names: Sequence[str], *, as_victim: bool = False) -> None:
        """Note that a batch waits for these clients, by name; without any, that it has stopped inside.

        Several of whom the victim of a deadlock waits for one, as Postgres says it, are told as one of them.
        """
        one_of = "one of " if as_victim and len(names) > 1 else ""
        told = f"waits for {one_of}{', '.join(names)}" if names else "stops inside"
        kind = StepKind.WAITS if names else StepKind.STOPS_INSIDE
        self.note_batch(client, batch, told, kind, waits_for=names)

    def note_batch(
        self,
        client: Client,
        batch: Batch,
        told: str,
        kind: StepKind,
        *,
        answer: Answer = _NO_ANSWER,
        waits_for: Sequence[str] = (),
    ) -> None:
        """Note something about a batch."""
        self._add(
            Step(
                self._number,
                client.name,
                batch.what,
                told,
                self._preempts,
                kind,
                batch.statement,
                batch.parameters,
                answer.rows,
                answer.state,
                answer.said,
                tuple(waits_for),
                answer.is_in_transaction,
                answer.begins,
                partial(protocol.values_in_sql, batch.bound, batch.types),
                client.code,
                batch.more,
                client.pid,
            )
        )

    def note(self, client: Client, what: str, answer: str, kind: StepKind) -> None:
        """Note something that is about no batch."""
        place = None if kind in (StepKind.BEGINS, StepKind.ENDS) else client.code
        self._add(Step(self._number, client.name, what, answer, self._preempts, kind, code=place))

    def _add(self, step: Step) -> None:
        self._result.steps.append(step)
        self._result.trace.append(str(step))
