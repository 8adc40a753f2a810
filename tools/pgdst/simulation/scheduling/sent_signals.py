"""Signals that clients send to sessions by SQL: each takes effect at the end of the step in which it was sent.

Postgres's processes react to them by themselves, at a moment that no schedule knows.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pgdst.database.sql_time.sql_tokens import Token, tokens
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Blocked
from pgdst.simulation.gate.liveness import has_ended
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.gate.session import Session
from pgdst.simulation.scheduling import words

SENDS: Final = re.compile(r"\bpg_(terminate|cancel)_backend\b", re.IGNORECASE)
_DO: Final = re.compile(r"\s*DO\b", re.IGNORECASE)  # its code is a string


class SentSignals:
    """Calls of pg_terminate_backend and pg_cancel_backend in one run."""

    def __init__(self, processes: ServerProcesses, proxy: Proxy) -> None:
        self._processes = processes
        self._proxy = proxy
        self._are_sent = False  # in the present step

    def note(self, statement: str, clients: Iterable[Client]) -> str:
        """Note a statement that was executed; return why the run is refused, or ""."""
        if not (call := _call_in(statement)):
            return ""
        self._are_sent = True
        waiting = [client.name for client in clients if isinstance(client.pause, Blocked)]
        if not waiting or not _has_time_out(call):
            return ""
        return (
            f"A client calls pg_terminate_backend with a time-out while {' and '.join(waiting)} waits for a lock. "
            "The time-out passes in real time, and the session does not end before the schedule lets it go on. "
            "Leave the time-out away."
        )

    def settle(self, clients: Iterable[Client]) -> str:
        """Have all signals take effect: idle sessions have ended then, and waits can be ended by the schedule.

        Return why the run is refused, or "". Raises: InconclusiveError.
        """
        waiting = [client for client in clients if isinstance(client.pause, Blocked)]
        if any(_call_in(words.under_way(client).statement) for client in waiting):
            self._are_sent = True
        if not self._are_sent:
            return _told(self._proxy.ended[0]) if self._proxy.ended else ""
        for session in self._proxy.idle_sessions():
            if has_ended(session):
                self._processes.require_gone(session.pid, "that a client has terminated")
                session.bury(unheard=False)
        self._are_sent = False
        self._proxy.ended.clear()
        return self._note_ended_waits(waiting)

    def _note_ended_waits(self, waiting: list[Client]) -> str:
        found = self._processes.signalled(*(client.pid or 0 for client in waiting)) if waiting else {}
        for client in waiting:
            assert isinstance(client.pause, Blocked)
            if client.pid not in found:
                return (
                    f"A client calls pg_terminate_backend or pg_cancel_backend while {client.name} waits for a lock, "
                    "and this machine does not tell whether the signal is for that session. To end waits inject the "
                    "faults `cancelled` and `terminated`."
                )
            client.pause = replace(client.pause, signal=found[client.pid])
        return ""


def _told(ended: Session) -> str:
    """Return why a run is refused in which a session has ended by itself."""
    return (
        f"The server has ended a session{ended.ended_by and f' (SQLSTATE {ended.ended_by})'}, by no statement that "
        "calls pg_terminate_backend itself, nor by a fault. So the moment was no part of the schedule."
    )


def _has_time_out(call: list[Token]) -> bool:
    """Return whether a call has a second argument; `call` are the tokens behind the function's name."""
    depth = 0
    for one in call:
        depth += (one.text == "(") - (one.text == ")")
        if one.kind == "symbol" and one.text == "," and depth == 1:
            return True
        if one.text == ")" and depth == 0:
            return False
    return False


def _call_in(statement: str) -> list[Token]:
    """Return the tokens behind the name in the first call. There may be none, as it stands in a string or comment."""
    if not SENDS.search(statement):
        return []
    found = list(tokens(statement))
    if _DO.match(statement):
        found = [inner for one in found for inner in (tokens(one.text) if one.kind == "string" else (one,))]
    places = [place for place, one in enumerate(found) if one.kind == "word" and SENDS.fullmatch(one.text)]
    return found[places[0] + 1 :] if places else []
