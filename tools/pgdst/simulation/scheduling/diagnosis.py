"""What is said of clients where a run hangs."""

from pgdst.simulation.clients.client import Client
from pgdst.simulation.clients.yield_points import Blocked
from pgdst.simulation.gate.server_processes import ServerProcesses
from pgdst.simulation.scheduling.wait_graph import WaitGraph


def why_it_stalls(client: Client, seconds: float, *, in_another: bool) -> str:
    """Return what a client has not done for so long; `in_another`: another process may do something for it."""
    hint = ""
    if in_another:
        hint = " (another process sleeps in real time, and waits for its pool so: is its pool too small?)"
    return f"For {seconds:g} s {client.name} has neither sent anything nor waited for a lock{hint}"


def state_of(client: Client, waits: WaitGraph, processes: ServerProcesses) -> str:
    """Return where a client is, in Python and in Postgres."""
    if isinstance(client.pause, Blocked):
        state = waits.in_words(client.pause.pids)
    elif client.pause is None:
        state = f"has the turn, in\n{client.stack()}"
    else:
        state = f"is at: {client.pause}"
    seen = f"; {processes.activity(client.pid)}" if client.pid is not None else ""
    return f"- {client.name} {state}{seen}"
