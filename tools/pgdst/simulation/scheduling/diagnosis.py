"""Diagnosis of a run that hangs: the state of each client."""

from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Blocked
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.scheduling.wait_graph import WaitGraph


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
