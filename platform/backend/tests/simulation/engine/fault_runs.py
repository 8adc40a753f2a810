"""Requests under faults: clients ask again with the same key until they are answered, or give up.

When the faults are over, each request was done once or not at all. The answers that clients got must be linearizable; a
client that gave up must find its effect and its key, or neither. A kept key says that its request was done, and when:
one transaction did both.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from hypothesis.strategies import DataObject
from pgdst import DrawnFaults, Fault, Result, SimulatedClock
from pgdst.simulation.clients.yield_points import BEGINS
from pgdst.simulation.faults.kinds import ALL, FREEZE, JUMP

from simulation.engine.harness import Exchange, Request
from simulation.engine.keys import Keyed, sha256_of
from simulation.engine.linearization import Move, Races, deadlocks_of, named
from simulation.engine.watched_clock import Attempt

MOST_FAULTS: Final = max(mood.most for mood in DrawnFaults.MOODS)
# A fault can cost each client one answer, but no more, as all connections that it has cut are given up with the first.
MOST_TRIES: Final = MOST_FAULTS + 1
RETRY_AFTER: Final = timedelta(seconds=1)
LONGEST_RETRY_AFTER: Final = timedelta(seconds=4)
MOST_UNDER_FAULTS: Final = 3
# What may pass in a fault run, beside what the faults themselves let pass.
PATIENCE: Final = MOST_UNDER_FAULTS * MOST_TRIES * LONGEST_RETRY_AFTER
LETS_PASS: Final = {Fault.CLOCK: JUMP, Fault.FROZEN: FREEZE}

UNAVAILABLE: Final = 503
UNDONE: Final = (Fault.SERIALIZATION, Fault.DEADLOCK)
ATTEMPTS: Final = 5  # that the platform makes at what was undone, before it tells the client


@dataclass(frozen=True)
class Told:
    """The last answer to a client whose request was done, and when it was."""

    exchange: Exchange
    taken_at: datetime
    acted_at: datetime


class FaultRuns(Races):
    """Moves under faults, and the check that each was done once or not at all."""

    SOMETIMES_STRUCK = frozenset(
        {
            *((f"a fault: {kind}", kind) for kind in Fault),
            ("a commit without an answer was done", Fault.COMMIT_DONE),
            ("a commit without an answer was not done", Fault.COMMIT_UNDONE),
            ("the server crashes in the middle of a transaction", Fault.CRASH),
            ("a deadlock is tried again", Fault.DEADLOCK),
            ("a serialization failure is tried again", Fault.SERIALIZATION),
            ("a client asks again until it is answered", Fault.LOST),
            ("a client gives up, and its request was done", Fault.COMMIT_DONE),
            ("a client gives up, and its request was not done", Fault.LOST),
        }
    )

    unavailable = 0  # how often clients were told so in the present fault run

    def under_faults(self, data: DataObject, patience: int, *moves: Move, kinds: Container[Fault] = ALL) -> None:
        """Make all moves under faults, and check that each was done once, or not at all if nobody was told of it.

        The moves are POSTs. Nothing may change by itself meanwhile; `patience` is how often a client asks, and of the
        run's kinds of faults, those in `kinds` may strike.
        """
        __tracebackhide__ = True
        requests = named([self._with_a_key(self._request_of(move)) for move in moves])
        self.watched_clock.forget()
        self.unavailable = 0
        clients = {name: partial(self._ask, name, sent, patience) for name, sent in requests.items()}
        possible = [kind for kind in self._possible() if kind in kinds]
        longest = None if kinds is ALL else 2  # there are fewer places for few kinds
        result = self.concurrently(data, faults=possible, longest=longest, **clients)
        faults = set(result.schedule.faults.values())
        if Fault.CRASH in faults:
            self.observe_anew()
        self.record(result)
        self.expect_equal("failures", {}, result.errors)
        self.expect_equal("deadlocks", [], deadlocks_of(result))
        self.expect_equal("503s beyond the requests hit", 0, max(0, self.unavailable - most_unavailable(result)))
        told = {name: self._after_the_faults(name, result.value(name), patience) for name in requests}
        done = {name: one for name, one in told.items() if one is not None}
        named_moves = dict(zip(requests, moves, strict=True))
        self._follow_an_order(
            {name: partial(self._as_it_was_done, named_moves[name], one) for name, one in done.items()},
            {name: one.exchange for name, one in done.items()},
            replace(result, outcomes={name: result.outcomes[name] for name in done}),
        )
        self._count(result, faults)

    def nothing_changes_soon(self) -> bool:
        """Return whether a fault run can be over before anything changes by itself."""
        return self._passes_before_a_threshold(PATIENCE)

    def _possible(self) -> list[Fault]:
        """Return which kinds can strike without anything changing by itself before the fault run is over."""
        reach: timedelta = PATIENCE
        kinds: list[Fault] = []
        for kind in self.run.faults:
            longer = reach + MOST_FAULTS * LETS_PASS.get(kind, timedelta())
            if self._passes_before_a_threshold(longer):
                reach, kinds = longer, [*kinds, kind]
        return kinds

    def _passes_before_a_threshold(self, duration: timedelta) -> bool:
        ahead = self.model.thresholds_ahead()
        return not ahead or ahead[0].at > self.clock.now() + duration

    def _with_a_key(self, request: Request) -> Request:
        if request.idempotency_key is not None:
            return request
        self.keys_sent += 1
        return replace(request, idempotency_key=f"idempotency-key-{self.keys_sent}")

    def _ask(self, name: str, request: Request, patience: int) -> Exchange:
        """Ask until there is an answer, so often as one has patience."""
        pause = RETRY_AFTER
        for tries_left in reversed(range(patience)):
            self.watched_clock.begin(name)
            exchange = self.transmit(request)
            self.unavailable += exchange.status == UNAVAILABLE
            if exchange.status != UNAVAILABLE or not tries_left:
                return exchange
            self.clock.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_AFTER)
        raise AssertionError("nobody asks less than once")

    def _after_the_faults(self, name: str, exchange: Exchange, patience: int) -> Told | None:
        """Return what a client was told or would be told now, or None where it has given up and nothing was done."""
        __tracebackhide__ = True
        self.run.trace.append(str(exchange))
        answered = exchange.status != UNAVAILABLE
        if not answered:
            self.expect_equal("answer within as many tries as there are faults", True, patience < MOST_TRIES)
        taken_at = self._kept_since(exchange.request)
        if taken_at is None:
            self.expect_equal("an answer", UNAVAILABLE, exchange.status, f"while its key is not kept: {exchange}")
            self._sometimes_struck("a client gives up, and its request was not done", Fault.LOST)
            return None
        if not answered:
            self._sometimes_struck("a client gives up, and its request was done", Fault.COMMIT_DONE)
            exchange = self.transmit(exchange.request)
            self.run.trace.append(str(exchange))
        attempts = self.watched_clock.attempts[name]
        if answered and len(attempts) > 1:
            self._sometimes_struck("a client asks again until it is answered", Fault.LOST)
        return Told(exchange, taken_at, self._acted_at(taken_at, attempts))

    def _kept_since(self, request: Request) -> datetime | None:
        """Return when the key of a request was taken by what was committed, if it was."""
        assert request.idempotency_key is not None
        rows = self.observer.execute(
            "SELECT idempotent_requests.created_at FROM idempotent_requests LEFT JOIN agents ON agents.id = agent_id "
            "WHERE key_sha256 = %s AND api_key_sha256 IS NOT DISTINCT FROM %s",
            (sha256_of(request.idempotency_key), sha256_of(request.api_key) if request.api_key else None),
        ).fetchall()
        self.expect_equal("keys", True, len(rows) < 2)
        return rows[0][0] if rows else None

    def _acted_at(self, taken_at: datetime, attempts: Iterable[Attempt]) -> datetime:
        """Return by which instant the attempt that was committed did what it did."""
        acted = [attempt.acted_at for attempt in attempts if attempt.began_at == taken_at and attempt.acted_at]
        self.expect_equal("instant at which the key was taken", True, bool(acted))
        return acted[0]

    def _as_it_was_done(self, move: Move, told: Told) -> None:
        """Make a move when it was done."""
        clock, then = self.clock, SimulatedClock(told.acted_at)
        self.clock = self.model.clock = then
        try:
            move()
        finally:
            self.clock = self.model.clock = clock
        sent = told.exchange.request
        agent = sent.client if sent.api_key is not None else "nobody"
        self.model.keys_taken_at[Keyed(agent, sent.idempotency_key or "")] = told.taken_at

    def _count(self, result: Result, faults: set[Fault]) -> None:
        for kind in faults:
            self._sometimes_struck(f"a fault: {kind}", kind)
        if Fault.COMMIT_DONE in faults:
            self._sometimes_struck("a commit without an answer was done", Fault.COMMIT_DONE)
        if Fault.COMMIT_UNDONE in faults:
            self._sometimes_struck("a commit without an answer was not done", Fault.COMMIT_UNDONE)
        for at, kind in result.schedule.faults.items():
            if kind is Fault.CRASH and _has_written(result, at):
                self._sometimes_struck("the server crashes in the middle of a transaction", kind)
            if kind is Fault.DEADLOCK and _is_tried_again(result, at):
                self._sometimes_struck("a deadlock is tried again", kind)
            if kind is Fault.SERIALIZATION and _is_tried_again(result, at):
                self._sometimes_struck("a serialization failure is tried again", kind)

    def _sometimes_struck(self, state: str, kind: Fault) -> None:
        if kind in self.run.faults:
            self.sometimes(state, True)


def most_unavailable(result: Result) -> int:
    """Return how often clients may have been told that the database is away: a request that was hit is told once.

    A crash hits all of them; what was undone is done again by the platform, and time that passes hits nobody.
    """
    struck = list(result.schedule.faults.values())
    away = [kind for kind in struck if kind not in UNDONE and kind not in LETS_PASS]
    everybody = away.count(Fault.CRASH) * (len(result.outcomes) - 1)
    return len(away) + everybody + sum(struck.count(kind) for kind in UNDONE) // ATTEMPTS


def _has_written(result: Result, at: int) -> bool:
    """Return whether the client of a step has written something by then that it has not committed."""
    client = result.schedule.clients[at - 1]
    before = [step.what for step in result.steps if step.client == client and step.number < at]
    ends = [number for number, what in enumerate(before) if what in ("COMMIT", "ROLLBACK", "connect", BEGINS)]
    return any(what.startswith(("INSERT", "UPDATE")) for what in before[ends[-1] :])


def _is_tried_again(result: Result, at: int) -> bool:
    """Return whether the platform has paused after a step of a client, and before that client began anew."""
    client = result.schedule.clients[at - 1]
    after = [step for step in result.steps if step.client == client and step.number > at]
    return any(step.what.startswith("sleeps 0:00:00.0") for step in after)
