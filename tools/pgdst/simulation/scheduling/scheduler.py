"""Runs several clients of one database one step at a time: the schedule decides who goes on, and who gets a lock.

A step lasts from one yield point to the next: a statement is sent and answered, then the client's own code runs until
it sends the next one. A statement that waits for a lock ends its step there. Its server process is then stopped, so
that it does not go on by itself when the lock is released.
"""

import threading
import time
from collections.abc import Callable, Collection, Coroutine
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from pgdst.errors import HangError, InconclusiveError, PgdstError
from pgdst.server import full_disk
from pgdst.simulation.clients import code
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.clients.yield_points import BEGINS, Blocked, Ended, Pause, Waiting, YieldPoint
from pgdst.simulation.faults.kinds import JUMP, Fault, possible_at
from pgdst.simulation.faults.plan import Faults
from pgdst.simulation.gate.batch import Batch
from pgdst.simulation.gate.exchange import Answer
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.gate.session import SessionYieldPoint
from pgdst.simulation.result import Result
from pgdst.simulation.scheduling import diagnosis, words
from pgdst.simulation.scheduling.injection import Injection
from pgdst.simulation.scheduling.recorder import Recorder
from pgdst.simulation.scheduling.sent_signals import SentSignals
from pgdst.simulation.scheduling.wait_graph import WaitGraph, WaitsFor, is_in_cycle
from pgdst.simulation.step import StepKind
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import ChoicePoint, Strategy

# After this time without an answer, Postgres is asked whether the statement waits for a lock; then at growing
# intervals.
ASK_AFTER_SECONDS = 0.0006
ASK_AT_LEAST_EVERY_SECONDS = 0.02
STALL_SECONDS = 10.0
DEADLINE_SECONDS = 60.0
_GIVE_UP_SECONDS = 2.0


class Scheduler:
    """One run of some clients. A scheduler is used once."""

    def __init__(
        self,
        processes: ServerProcesses,
        strategy: Strategy,
        faults: Faults | None,
        *,
        clock: SimulatedClock,
        proxy: Proxy,
        in_a_loop: Callable[[Coroutine[Any, Any, Any]], Any],
        stall_seconds: float,
        deadline_seconds: float,
        inside: bool,
        observe: Callable[[str, str], object] | None,
        locates_code: bool,
    ) -> None:
        self._observe = observe
        self._locates_code = locates_code
        self._in_a_loop = in_a_loop
        self.turn: Client | None = None  # the client that has it
        self.number = 0  # of the step
        self._proxy = proxy
        self._leaving: list[Pause] = []
        self._processes = processes
        self._strategy = strategy
        self._faults = faults
        self._clock = clock
        self._injected: dict[int, Fault] = {}
        points = {one.pid: one for one in proxy.trigger_points.values()}
        self._stops = points if inside else {}
        self._injection = Injection(processes, proxy, clock, points)
        self._signals = SentSignals(processes, proxy)
        self._stall_seconds = stall_seconds
        self._ends_at = time.monotonic() + deadline_seconds
        self._deadline_seconds = deadline_seconds
        self._clients: dict[str, Client] = {}
        self._waits = WaitGraph(processes, self._clients, self._stops)
        self._victim: Client | None = None
        self._last: Client | None = None
        self._schedule: list[str] = []
        self._refused: PgdstError | None = None
        self._thread = threading.get_ident()
        self._is_over = False
        self.result = Result({})
        self._recorder = Recorder(self.result)

    def spawn(self, name: str, function: Callable[[], Any]) -> None:
        """Add a client."""
        self._clients[name] = Client(name, function, self, self._in_a_loop)

    def run(self) -> Result:
        """Let the clients go on, one at a time, until all have ended.

        Raises: InconclusiveError, ScheduleError, and whatever the strategy raises; all clients have ended then.
        """
        try:
            for client in self._clients.values():
                client.thread.start()
            while self._go_on():
                pass
        except BaseException:
            self._complete_result()  # as far as the run came
            self._abandon()
            raise
        self._complete_result()
        return self.result

    def _complete_result(self) -> None:
        self.result.outcomes |= {name: client.outcome for name, client in self._clients.items()}
        self.result.schedule = Schedule(tuple(self._schedule), self._injected)

    @property
    def names(self) -> Collection[str]:
        """The names of the clients."""
        return self._clients.keys()

    def pid_of(self, name: str) -> int | None:
        """Return the pid of the session that a client used last."""
        return self._clients[name].pid

    # Called by clients in their own threads, and by the gate in the scheduler's thread, which relays.

    def take_back(self, client: Client, pause: Pause) -> None:
        """Note that the client has stopped at this pause."""
        if self._locates_code and not isinstance(pause, Ended):
            client.code = code.of_thread(threading.get_ident())
        client.pause = pause
        self._proxy.wake()

    def stop(self, client: Client, pause: Pause) -> None:
        """Note that the client has stopped at this pause."""
        if self._locates_code:
            session = pause.session if isinstance(pause, SessionYieldPoint) else None
            client.code = client.place(session.thread if session is not None else None)
        client.pause = pause

    def leaves(self, pause: Pause) -> None:
        """Note that the client with the turn has closed a connection: a step of its own before the client's next."""
        self._leaving.append(pause)

    def uses(self, client: Client, pid: int) -> None:
        """Note that this server process serves the client now."""
        self._waits.uses(client, pid)

    def note_answer(self, client: Client, batch: Batch, words: str, answer: Answer) -> None:
        """Put the result of a batch into the trace: `words`, and what else the server has answered."""
        self._recorder.note_answer(client, batch, words, answer)
        if why := self._signals.note(batch.statement, self._clients.values()):
            self.refuse(why)

    def note_wait(self, client: Client, batch: Batch, blocker: int) -> None:
        """Put into the trace for which client the victim of a deadlock has waited."""
        self._recorder.note_wait(client, batch, self._waits.names_of_a_victim(client, blocker), as_victim=True)

    def opened(self, pid: int) -> None:
        """Make a new session stop inside statements too, as all others do."""
        for points in self._stops.values():
            points.hold_if_placed(pid)

    def inject(self, client: Client, fault: Fault, pid: int) -> None:
        """Inject a fault into a server process, or the whole server, and return when it has taken effect."""
        if fault is Fault.CRASH and self._is_over:
            raise InconclusiveError("The run is over.")
        self._injection.inject(client, fault, pid)

    def no_connection_left(self) -> AbstractContextManager[None]:
        """Use up all free connections of the server, for a block."""
        return self._processes.no_connection_left()

    def full_disk(self) -> str:
        """Return the path, on the server's machine, of a file that can't be written for want of disk space."""
        return full_disk.file_of(self._processes.server)

    def closed(self, client: Client, pid: int) -> None:
        """Return once the server process has ended."""
        self._processes.require_gone(pid, f"of a connection that {client.name} closed")
        self._recorder.note(client, "close", "done", StepKind.CLOSES)

    def refuse(self, why: str) -> PgdstError:
        """End the run before its next step, and return the error that it ends with."""
        self._refused = self._refused or InconclusiveError(why)
        return self._refused

    def require_no_other(self) -> None:
        """Check that this is the thread that started the run. Raises: InconclusiveError."""
        if threading.get_ident() != self._thread:
            raise self.refuse(
                f"The thread {threading.current_thread().name} is no client, and sent something through an attached "
                "engine during the run. Spawn a client for it. If it works for a client that waits for it, start it "
                "by asyncio.to_thread, or in a copy of the client's context (contextvars.copy_context)."
            )

    # Done by the scheduler while no client runs.

    def _go_on(self) -> bool:
        """Let one client take a step; return whether any can take another."""
        self._proxy.pump(0)  # refuses statements that came out of turn
        if self._refused is not None:
            raise self._refused
        if all(isinstance(client.pause, Ended) for client in self._clients.values()):
            if doubt := self._proxy.doubtful():
                raise self.refuse(doubt)
            return False
        candidates = self._candidates() or self._after_a_time_out()
        if not candidates:
            self._give_up("No client can go on", HangError)
        can_stay = self._last in candidates
        chosen = self._choose(candidates, can_stay=can_stay)
        self._recorder.note_choice(self.number + 1, candidates, chosen)
        self._recorder.begin_step(self.number + 1, preempts=can_stay and chosen is not self._last)
        self._schedule.append(chosen.name)
        self._last = chosen
        stood = words.stands_at(chosen) if self._observe is not None else ""
        self._step(chosen)
        self._settle(chosen)
        if self._observe is not None:
            self._observe(chosen.name, stood)
        return True

    def _candidates(self) -> list[Client]:
        """Return the clients that can go on: first that of the last step, then the others, in order of spawning."""
        able = [client for client in self._clients.values() if self._can_go_on(client)]
        if not able:
            return []
        names = list(self._clients)
        start = names.index(self._last.name) if self._last else 0
        return sorted(able, key=lambda client: (names.index(client.name) - start) % len(names))

    def _can_go_on(self, client: Client) -> bool:
        pause = client.pause
        if isinstance(pause, Waiting):
            return pause.is_over() or (pause.is_sleep and pause.until == self._next_moment())
        if isinstance(pause, Blocked):
            return pause.signal is not None or pause.pids <= self._stops.keys()
        return isinstance(pause, YieldPoint)

    def _next_moment(self, *, sleeps_alone: bool = True) -> timedelta | None:
        waits = (client.pause for client in self._clients.values() if isinstance(client.pause, Waiting))
        moments = (wait.until for wait in waits if wait.is_sleep or not sleeps_alone)
        return min((moment for moment in moments if moment is not None), default=None)

    def _after_a_time_out(self) -> list[Client]:
        """Return the clients whose time-out is the next to pass. Called if no client can go on otherwise."""
        moment = self._next_moment(sleeps_alone=False)
        waits = [c for c in self._clients.values() if isinstance(c.pause, Waiting) and c.pause.until == moment]
        return waits if moment is not None else []

    def _choose(self, candidates: list[Client], *, can_stay: bool) -> Client:
        if len(candidates) == 1 and not isinstance(self._strategy, Schedule):  # a written one may not fit here
            return candidates[0]
        point = ChoicePoint(
            len(self._schedule) + 1,
            tuple(client.name for client in candidates),
            can_stay,
            tuple(words.stands_at(client) for client in candidates),
            tuple(client.name for client in candidates if _sleeps(client.pause)),
        )
        return candidates[self._strategy.choose(point)]

    def _step(self, client: Client) -> None:
        """Give the client the turn and take it back. Raises: InconclusiveError."""
        self.number += 1
        pause = client.pause
        client.fault = self._faults.inject(self.number, possible_at(pause)) if self._faults else None
        if client.fault is not None:
            self._injected[self.number] = client.fault
            self._recorder.note(client, "fault", client.fault, StepKind.FAULT)
        if client.fault in (Fault.CLOCK, Fault.CLOCK_BACK):
            move = self._clock.advance if client.take_fault() is Fault.CLOCK else self._clock.set_back
            move(JUMP)
        if isinstance(pause, Blocked):
            self._let_go(client, pause)
        elif isinstance(pause, Waiting):
            self._pass_time(client, pause)
        elif isinstance(pause, YieldPoint) and pause.what == BEGINS:
            self._recorder.note(client, BEGINS, "", StepKind.BEGINS)
        self._give_turn(client)

    def _give_turn(self, client: Client) -> None:
        """Let the client go on, and return when it has stopped again. Raises: InconclusiveError."""
        self.turn = client
        try:
            client.give_turn()
            self._take_turn_back(client)
        finally:
            self.turn = None

    def _let_go(self, client: Client, pause: Blocked) -> None:
        assert client.pid is not None
        fault = self._injection.end_wait(client.pid, client.take_fault(), pause.signal)
        if fault is None:
            for pid in pause.pids:
                self._stops[pid].let_pass(client.pid)
        self._recorder.note_batch(client, words.under_way(client), "goes on", StepKind.GOES_ON)
        self._processes.thaw(client.pid)
        if fault is not None:
            self._injection.wait_has_ended(client, fault, lambda: bool(self._waits.ask(client)[client.pid or 0]))

    def _pass_time(self, client: Client, pause: Waiting) -> None:
        if pause.until is not None and not pause.is_over() and pause.until > pause.clock.elapsed():
            pause.clock.advance(pause.until - pause.clock.elapsed())
        self._recorder.note(client, pause.what, f"over at {pause.clock.now().isoformat()}", StepKind.TIME)

    def _take_turn_back(self, client: Client) -> None:
        """Relay until the client has stopped. While there is no answer, ask Postgres whether it waits for a lock."""
        stalls_at = time.monotonic() + self._stall_seconds
        patience = ASK_AFTER_SECONDS
        while client.pause is None:
            is_asked = client.session is not None and client.session.may_wait
            left = min(stalls_at, self._ends_at) - time.monotonic()
            if left <= 0:
                self._give_up(self._why_it_hangs(client))
            if not self._proxy.pump(min(left, patience) if is_asked else left) and is_asked:
                client.pause = self._waits.whether_blocked(client, as_victim=self._victim is client)
                patience = min(2 * patience, ASK_AT_LEAST_EVERY_SECONDS)
            if self._refused is not None:
                raise self._refused
        # Note connections that it closed before it stopped, and further messages of another process for it. Not while
        # it is blocked: a deadlock's victim may have its answer already, which counts when it goes on.
        at_wire = isinstance(client.pause, SessionYieldPoint) and not self._proxy.has_other_processes
        if not at_wire and not isinstance(client.pause, Blocked):
            self._proxy.hear_all()
        if self._leaving:
            leaving, self._leaving = self._leaving, []
            behind = [*leaving, client.pause, *client.later]
            client.pause, client.later = behind[0], behind[1:]

    def _settle(self, client: Client) -> None:
        """Stop the client's server process if it is blocked, resolve a deadlock, and note which waits are over.

        Raises: InconclusiveError.
        """
        for points in self._stops.values():
            points.settle()
        waits_for = self._stop_waiting(client) if isinstance(client.pause, Blocked) else None
        if isinstance(client.pause, Ended):
            self._recorder.note(client, "ends", str(client.outcome), StepKind.ENDS)
        if why := self._signals.settle(self._clients.values()):
            raise self.refuse(why)
        self._waits.see_who_is_free(waits_for)

    def _stop_waiting(self, client: Client) -> WaitsFor | None:
        """Stop the server process of a client that waits, unless its wait has closed a cycle.

        If it has, the client is the deadlock's victim. It is also the victim if its wait ended while no other client
        ran: on a slow machine its deadlock check fires before its process is stopped. The trace then takes the
        client for which it waited from the error.
        """
        assert client.pid is not None
        while isinstance(client.pause, Blocked):
            self._processes.freeze(client.pid)
            waits_for = self._waits.ask(client)
            if (blockers := waits_for[client.pid]) and not is_in_cycle(client.pid, waits_for):
                self._recorder.note_wait(client, words.under_way(client), self._waits.names(blockers))
                return waits_for
            self._victim = client
            self._processes.thaw(client.pid)
            self._give_turn(client)
            self._victim = None
        return None

    # The end of a run that has no result.

    def _give_up(self, why: str, kind: type[InconclusiveError] = InconclusiveError) -> None:
        if self._refused is not None:
            raise self._refused
        told = [
            diagnosis.state_of(client, self._waits, self._processes)
            for client in self._clients.values()
            if not isinstance(client.pause, Ended)
        ]
        raise kind(
            "\n".join([f"{why}, so this run says nothing.", *told, f"schedule: {Schedule(tuple(self._schedule))}"])
        )

    def _why_it_hangs(self, client: Client) -> str:
        if time.monotonic() >= self._ends_at:
            return f"The run has not ended within {self._deadline_seconds:g} s"
        return diagnosis.why_it_stalls(client, self._stall_seconds, in_another=self._proxy.has_other_processes)

    def _abandon(self) -> None:
        """End every client by AbandonedError, its statements and its sessions."""
        self._is_over = True
        self._proxy.abandon()
        self._processes.terminate(client.pid for client in self._clients.values() if client.pid is not None)
        self._processes.thaw_all()
        for client in self._clients.values():
            client.abandon()
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        for client in self._clients.values():
            if client.thread.is_alive():  # an interrupt may have come before it was started
                client.thread.join(max(0.0, deadline - time.monotonic()))


def _sleeps(pause: Pause | None) -> bool:
    return isinstance(pause, Waiting) and pause.is_sleep and not pause.is_over()
