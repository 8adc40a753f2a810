"""Where clients stand, in words: for the trace, for strategies and for errors."""

from typing import Final

from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Blocked, Pause, Waiting, YieldPoint
from pgdst.simulation.faults.kinds import Fault, possible_at
from pgdst.simulation.gate.batch import Batch

_WORDS: Final[dict[tuple[Fault, ...], str]] = {}
_SHOWN: Final = 40  # characters of what another client would do


def under_way(client: Client) -> Batch:
    """Return the batch in which a client waits for a lock."""
    assert client.session is not None
    return client.session.under_way


def faults_at(pause: Pause | None) -> str:
    """Return the faults that can hit a client at this pause."""
    kinds = possible_at(pause)
    return _WORDS.get(kinds) or _WORDS.setdefault(kinds, " ".join(kinds) or "none")


def short(pause: Pause | None) -> str:
    """Return the beginning of what a client does next."""
    return _in_full(pause)[:_SHOWN]


def stands_at(client: Client) -> str:
    """Return the statement that the client sends next, or in which it is stopped, without parameters."""
    if isinstance(client.pause, Blocked) and client.session is not None:
        return client.session.statement
    return _in_full(client.pause)


def _in_full(pause: Pause | None) -> str:
    if isinstance(pause, YieldPoint | Waiting):
        return pause.what
    return "a lock that is free" if isinstance(pause, Blocked) and not pause.pids else "a stop inside"
