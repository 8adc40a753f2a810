"""Diagnosis of a run that hangs: the state of each client."""

import re
from collections.abc import Iterable
from typing import Final

from pgdst.database.sql_time.sql_tokens import tokens
from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Blocked
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.scheduling.wait_graph import WaitGraph

_SIGNALS: Final = re.compile(r"\bpg_(terminate|cancel)_backend\b", re.IGNORECASE)
_DO: Final = re.compile(r"\s*DO\b", re.IGNORECASE)  # its code is a string


def why_no_signal_arrives(client: Client, statement: str, clients: Iterable[Client]) -> str:
    """Return why a run is refused in which a client signals sessions while others wait, or ""."""
    waiting = [one.name for one in clients if one is not client and isinstance(one.pause, Blocked)]
    if not waiting or not (found := _SIGNALS.search(statement)):
        return ""
    words = {one.text for one in tokens(statement) if one.kind == "word"}
    if found[0].lower() not in words and not _DO.match(statement):
        return ""  # it only stands in a string or a comment
    return (
        f"{client.name} calls {found[0]} while {' and '.join(waiting)} waits for a lock. The server process of a "
        "client that waits is stopped, so a signal would take effect too late. To end waits inject the faults "
        "`cancelled` and `terminated`."
    )


def why_it_stalls(client: Client, seconds: float, *, in_another: bool) -> str:
    """Return why the run counts as hung; `in_another`: another process may be working for the client."""
    hint = ""
    if in_another:
        hint = " (another process sleeps, and waits for its pool, in real time: is its pool too small?)"
    return f"For {seconds:g} s {client.name} has neither sent anything nor waited for a lock{hint}"


def state_of(client: Client, waits: WaitGraph, processes: ServerProcesses) -> str:
    """Return where a client is, in Python and in Postgres."""
    if isinstance(client.pause, Blocked):
        names = waits.names(client.pause.pids)
        state = f"waits for {', '.join(names)}" if names else "stops inside"
    elif client.pause is None:
        state = f"has the turn, in\n{client.stack()}"
    else:
        state = f"is at: {client.pause}"
    seen = f"; {processes.activity(client.pid)}" if client.pid is not None else ""
    return f"- {client.name} {state}{seen}"
