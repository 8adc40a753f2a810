"""Who waits for whom: circles in what Postgres says of locks."""

from collections.abc import Iterable, Mapping

from pgdst.simulation.client import Blocked, Client

WaitsFor = Mapping[int, frozenset[int]]


def who_waits_for(backend: int | None, clients: Iterable[Client]) -> set[int]:
    """Return the backends that wait for this one, be it by way of others, as Postgres has said last."""
    blocked = [(one.backend, one.pause.backends) for one in clients if isinstance(one.pause, Blocked)]
    waits_for = {one: blockers for one, blockers in blocked if one not in (None, backend)}
    return {one for one in waits_for if _reaches(one, backend, waits_for)}


def _reaches(one: int, other: int | None, waits_for: WaitsFor) -> bool:
    """Return whether one waits for the other, be it by way of others, or is the other."""
    reached, ahead = set(), [one]
    while ahead:
        found = ahead.pop()
        if found == other:
            return True
        if found not in reached:
            reached.add(found)
            ahead.extend(waits_for.get(found, ()))
    return False


def is_in_cycle(backend: int, waits_for: WaitsFor) -> bool:
    """Return whether whom the backend waits for waits for it."""
    return any(_reaches(one, backend, waits_for) for one in waits_for[backend])
