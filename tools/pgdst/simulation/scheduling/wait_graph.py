"""The wait graph: which client waits for which, and its cycles, from pg_blocking_pids."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Blocked
from pgdst.simulation.gate.server_processes import ServerProcesses

WaitsFor = Mapping[int, frozenset[int]]


def who_waits_for(pid: int | None, clients: Iterable[Client]) -> set[int]:
    """Return the pids that wait for this one, directly or through others, by the last answer of Postgres."""
    blocked = [(one.pid, one.pause.pids) for one in clients if isinstance(one.pause, Blocked)]
    waits_for = {one: blockers for one, blockers in blocked if one not in (None, pid)}
    return {one for one in waits_for if _reaches(one, pid, waits_for)}


def _reaches(one: int, other: int | None, waits_for: WaitsFor) -> bool:
    """Return whether `one` waits for `other`, directly or through others, or is the same."""
    reached, ahead = set(), [one]
    while ahead:
        found = ahead.pop()
        if found == other:
            return True
        if found not in reached:
            reached.add(found)
            ahead.extend(waits_for.get(found, ()))
    return False


def is_in_cycle(pid: int, waits_for: WaitsFor) -> bool:
    """Return whether this process is part of a cycle of waits."""
    return any(_reaches(one, pid, waits_for) for one in waits_for[pid])


class WaitGraph:
    """The wait graph of a run, and the names under which clients appear in the trace.

    `stops` are the pids of the kit's sessions that stop statements at triggers.
    """

    def __init__(self, processes: ServerProcesses, clients: Mapping[str, Client], stops: Collection[int]) -> None:
        self._processes = processes
        self._clients = clients
        self._stops = stops
        self._users: dict[int, str] = {}  # by pid, the client that it served last

    def uses(self, client: Client, pid: int) -> None:
        """Note that this server process serves the client now. A pool may lend it to several clients in a run."""
        self._users[pid] = client.name
        client.pid = pid

    def ask(self, *others: Client) -> WaitsFor:
        """Ask Postgres for the blockers of all blocked clients and of `others`."""
        clients = [one for one in self._clients.values() if one in others or isinstance(one.pause, Blocked)]
        return self._processes.blockers(*(one.pid for one in clients if one.pid is not None))

    def whether_blocked(self, client: Client, *, as_victim: bool) -> Blocked | None:
        """Ask Postgres whether the client's statement waits for a lock.

        The victim of a deadlock does not count as blocked: its deadlock check is about to fire.
        """
        assert client.pid is not None
        found = self.ask(client)
        if as_victim and is_in_cycle(client.pid, found):
            return None
        blockers = found[client.pid]
        return Blocked(blockers) if blockers else None

    def see_who_is_free(self, found: WaitsFor | None) -> None:
        """Note for whom each blocked client waits now. Postgres is asked if `found`, an earlier answer, is None."""
        blocked = [client for client in self._clients.values() if isinstance(client.pause, Blocked)]
        if blocked:
            found = found or self.ask()
            for client in blocked:
                assert isinstance(client.pause, Blocked)
                client.pause = replace(client.pause, pids=found[client.pid or 0])

    def names(self, blockers: frozenset[int]) -> list[str]:
        """Return the clients that these server processes serve; none where all of them are the kit's own stops."""
        if all(one in self._stops for one in blockers):
            return []
        return self._names_of(blockers)

    def names_of_a_victim(self, client: Client, blocker: int) -> list[str]:
        """Return for whom the victim of a deadlock has waited, or the names of which one is it.

        Postgres's error names one process. Where several wait for the victim, each may be in the cycle, and the one
        named depends on the slots of their processes. So all of them are named.
        """
        return self._names_of(who_waits_for(client.pid, self._clients.values()) or {blocker})

    def _names_of(self, pids: Iterable[int]) -> list[str]:
        return sorted({self._users.get(pid, "somebody else") for pid in pids})
