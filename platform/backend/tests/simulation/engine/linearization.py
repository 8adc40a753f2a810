"""Races: requests at once. Their answers must be linearizable, and the tables must match the same order.

The model predicts one move after another. So each move is made twice: first only to see its request, then, when the
platform has answered all requests, in some order and with these answers. Requests that do not overlap keep their order;
of the others, the one that committed first is tried first. An order is right if it explains the answers and all
invariants hold for what it leaves in the tables.
Source: Herlihy and Wing, Linearizability, TOPLAS 1990.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import combinations, permutations
from typing import Any, Final, NamedTuple

from hypothesis.strategies import DataObject
from pgdst import Concurrently, Fault, Result, Simulation

from simulation.engine.choosing import MOST_AT_ONCE
from simulation.engine.errands import about
from simulation.engine.harness import Exchange, Harness, RefusedError, Request
from simulation.engine.model import Refusal

DEADLOCK: Final = "40P01"

# What one agent does, with one request: checks its answer and tells the model.
Move = Callable[[], object]


class Races(Concurrently, Harness):
    """Moves at once, and the search for an order that explains their answers."""

    SOMETIMES = frozenset(
        {
            "a request waits for another",
            "a request comes between the statements of another",
            "what was possible before is refused as another was first",
        }
    )

    # How a request is meant: to be seen only, else to get this answer again, else to be sent.
    sees_only_requests = False
    replayed: Exchange | None = None
    # What is counted once it is known that it was so.
    counted: list[tuple[str, bool]] | None = None

    @cached_property
    def simulation(self) -> Simulation:  # type: ignore[override]  # may be written to, too
        """Attached where something happens at once for the first time in an example, as it has to connect anew."""
        simulation = Simulation(self.run.backends, clock=self.clock, connections=MOST_AT_ONCE)
        simulation.attach(self.engine)
        self.resources.callback(simulation.close)
        return simulation

    def at_once(self, data: DataObject, *moves: Move) -> None:
        """Make all moves at once, and check that their answers are those of some order, which the model then knows.

        No move may advance the clock, and what it sends must not depend on the others.
        """
        __tracebackhide__ = True
        requests = named([self._request_of(move) for move in moves])
        clients = {name: partial(self.transmit, sent) for name, sent in requests.items()}
        result = self.concurrently(data, faults=(), longest=None, **clients)
        self.record(result)
        self.expect_equal("failures", {}, result.errors)
        self.expect_equal("deadlocks", [], deadlocks_of(result))
        exchanges = {name: result.value(name) for name in requests}
        for exchange in exchanges.values():
            self.run.trace.append(str(exchange))
        self._follow_an_order(dict(zip(requests, moves, strict=True)), exchanges, result)
        self.sometimes("a request waits for another", any(is_wait(step.answer) for step in result.steps))
        self.sometimes("a request comes between the statements of another", result.preemptions > 0)

    def record(self, result: Result) -> None:
        """Put every step of a run of several clients into the trace."""
        self.run.trace.append(f"{self.checking}: {result.schedule} with {result.preemptions} preemptions")
        self.run.trace.extend(result.trace)

    def attempt(self, action: Callable[..., object], choice: Any, **details: Any) -> Move:
        """Return a move: do an errand, or be refused, where the model predicts it when it is its turn."""
        return partial(self._attempt, action, choice, **details)

    def be_refused(self, refusal: Refusal, move: Move) -> None:
        """Make a move that must be refused, although it would have succeeded before."""
        self.refusal = refusal
        try:
            move()
        except RefusedError:
            self.sometimes("what was possible before is refused as another was first", True)
        else:
            raise AssertionError(f"{self.checking}: a move did not expect an answer")
        finally:
            self.refusal = None

    def _attempt(self, action: Callable[..., object], choice: Any, **details: Any) -> None:
        refusal = about(action).refused(self.model, choice)
        if refusal is None:
            action(choice, **details)
        else:
            self.be_refused(refusal, partial(action, choice, **details))

    # What happens to requests and counts meanwhile.

    def exchange(self, request: Request) -> Exchange:
        """Send a request, or do as if."""
        if self.sees_only_requests:
            raise _SeenError(self.as_agents_send_it(request))
        if self.replayed is None:
            return super().exchange(request)
        expected = replace(request, idempotency_key=self.replayed.request.idempotency_key)
        assert expected == self.replayed.request, f"{self.checking}: a move did not send the same request again"
        return self.replayed

    def sometimes(self, name: str, condition: bool) -> None:
        """Count, but nothing of an order that turns out not to have been it."""
        if self.counted is None:
            super().sometimes(name, condition)
        else:
            self.counted.append((name, condition))

    def _request_of(self, move: Move) -> Request:
        model, self.model, self.sees_only_requests = self.model, self.model.copy(), True
        try:
            move()
        except _SeenError as seen:
            return seen.request
        finally:
            self.model, self.sees_only_requests = model, False
        raise AssertionError(f"{self.checking}: a move did not send anything")

    def _follow_an_order(self, moves: dict[str, Move], exchanges: dict[str, Exchange], result: Result) -> None:
        """Bring the model to where an order leads that explains all answers, and what the tables hold now."""
        __tracebackhide__ = True
        model, objections = self.model, []
        for order in possible_orders(result):
            self.model, self.counted = model.copy(), []
            objection = self._objection_to(order, moves, exchanges)
            counted, self.counted = self.counted, None
            if objection is None:
                for name, condition in counted:
                    self.sometimes(name, condition)
                self.tables_were_checked = True
                return
            objections.append(objection)
        self.model = model
        raise AssertionError(str(max(objections, key=lambda one: one.explained)))

    def _objection_to(
        self, order: Sequence[str], moves: dict[str, Move], exchanges: dict[str, Exchange]
    ) -> "_Objection | None":
        """Return why an order does not explain the answers, or the tables, if it does not."""
        checking, said = self.checking, ", then ".join(order)
        for number, name in enumerate(order):
            self.replayed = exchanges[name]
            try:
                moves[name]()
            except AssertionError as error:
                found = {name: f"{exchange.status} {exchange.text}" for name, exchange in exchanges.items()}
                wrong = f"{checking}: expected answers of some order, found {found}: {said}: but then {error}"
                return _Objection(number, wrong)
            finally:
                self.replayed = None
        try:
            self.check_tables()
        except AssertionError as error:
            return _Objection(len(order), f"{error}; the answers are those of the order {said}")
        finally:
            self.checking = checking
        return None


class _Objection(NamedTuple):
    """Why an order is none, and how many of the answers it explains; all of them where the tables speak against it."""

    explained: int
    wrong: str

    def __str__(self) -> str:
        return self.wrong


class _SeenError(Exception):
    """A move has come to where it sends its request, which is all that is wanted of it now."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.request = request


def named(requests: Sequence[Request]) -> dict[str, Request]:
    """Return requests by who sends them; the second one of the same client is called ada.2."""
    seen: Counter[str] = Counter()
    by_name = {}
    for request in requests:
        seen[request.client] += 1
        number = seen[request.client]
        by_name[request.client if number == 1 else f"{request.client}.{number}"] = request
    return by_name


def possible_orders(result: Result) -> Iterator[tuple[str, ...]]:
    """Yield the orders in which what the clients of a run did may have counted, that of their commits first."""
    began = {name: result.schedule.clients.index(name) for name in result.outcomes}
    ended = {name: number for number, name in enumerate(result.schedule.clients) if name in began}
    for order in permutations(sorted(ended, key=lambda name: (_committed_at(result, name), ended[name]))):
        if not any(ended[later] < began[earlier] for earlier, later in combinations(order, 2)):
            yield order


def _committed_at(result: Result, name: str) -> float:
    """Return the step at which a client's request was done, whether or not the client was told and asked again."""
    commits = (step for step in result.steps if step.client == name and step.what == "COMMIT")
    faults = result.schedule.faults
    done = (one.number for one in commits if one.answer == "done" or faults.get(one.number) is Fault.COMMIT_DONE)
    return next(done, math.inf)


def deadlocks_of(result: Result) -> list[str]:
    """Return the steps in which clients fell victim to each other. The platform tries again, so no answer tells."""
    return [str(step) for step in result.steps if step.answer == DEADLOCK and step.number not in result.schedule.faults]


def is_wait(answer: str) -> bool:
    """Say whether a step of a run ended in the wait for a lock."""
    return answer.startswith("waits for ")
