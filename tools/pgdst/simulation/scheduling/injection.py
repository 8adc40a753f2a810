"""The injection of faults into server processes and the whole server."""

import time
from collections.abc import Callable, Mapping, MutableMapping
from signal import SIGINT, SIGTERM, Signals
from typing import Final

from pgdst.errors import InconclusiveError
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.clock import SimulatedClock
from pgdst.simulation.faults.kinds import CUT, FREEZE, Fault
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.server_processes import ENDS_SECONDS, ServerProcesses
from pgdst.simulation.gate.trigger_points import TriggerPoints

_BY_SIGNAL: Final[Mapping[Signals | None, Fault]] = {SIGTERM: Fault.TERMINATED, SIGINT: Fault.CANCELLED}


class Injection:
    """The injection of one run's faults.

    `stops` are the trigger points, by the pids of the sessions that hold their locks. After a crash they have new ones.
    """

    def __init__(
        self,
        processes: ServerProcesses,
        proxy: Proxy,
        clock: SimulatedClock,
        stops: MutableMapping[int, TriggerPoints],
    ) -> None:
        self._processes = processes
        self._proxy = proxy
        self._clock = clock
        self._stops = stops

    def inject(self, client: Client, fault: Fault, pid: int) -> None:
        """Inject a fault into a server process, or the whole server, and return when it has taken effect."""
        if fault is Fault.CRASH:
            self._crash(pid)
        elif fault is Fault.FROZEN:
            self._processes.freeze(pid)
            self._clock.advance(FREEZE)
            self._processes.thaw(pid)
        elif fault is Fault.TERMINATED or fault in CUT:
            if fault is Fault.TERMINATED:
                self._processes.terminate([pid])
            self._processes.require_gone(pid, f"of {client.name}, whose connection was {fault},")
            self._proxy.died(pid, unheard=fault in CUT)
        else:
            raise NotImplementedError(f"Nothing injects the fault {fault}: add it to Injection.inject.")

    def _crash(self, pid: int) -> None:
        self._processes.crash(pid, self._proxy.databases())
        self._proxy.all_died()
        found = list(self._stops.values())
        for points in found:
            points.reopen()
        self._stops.clear()
        self._stops.update({points.pid: points for points in found})

    def end_wait(self, pid: int, fault: Fault | None, sent: Signals | None) -> Fault | None:
        """Ask the server to end a statement that waits for a lock, if a fault does; return what ends it.

        A signal that a client has `sent` ends it as the fault would; where there are both, the session's end counts.
        """
        if fault is Fault.TERMINATED:
            self._processes.terminate([pid])
        elif fault is Fault.CANCELLED:
            self._processes.cancel(pid)
        return fault if fault is Fault.TERMINATED else _BY_SIGNAL.get(sent, fault)

    def wait_has_ended(self, client: Client, fault: Fault, waits: Callable[[], bool]) -> None:
        """Return when the fault has ended the client's wait: until then Postgres may still report it as blocked.

        Raises: InconclusiveError, if the wait does not end.
        """
        assert client.pid is not None
        if fault is Fault.TERMINATED:  # Postgres tells the client before it releases the session's locks
            self._processes.require_gone(client.pid, f"of {client.name}, which was terminated,")
            self._proxy.died(client.pid, unheard=False)
            return
        deadline = time.monotonic() + ENDS_SECONDS
        while waits():
            if time.monotonic() > deadline:
                raise InconclusiveError(f"{client.name} still waits for a lock, although its wait was ended.")
