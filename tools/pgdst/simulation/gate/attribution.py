"""Whose it is that arrives at the gate: the client's who has the turn, or the run is refused."""

from typing import TYPE_CHECKING

from pgdst.simulation.client import Client
from pgdst.simulation.gate.batch import CANCELS, Batch

if TYPE_CHECKING:
    from pgdst.simulation.gate.proxy import Run
    from pgdst.simulation.gate.session import Session


def whose(session: "Session", batch: Batch, run: "Run") -> Client | None:
    """Return the client whose it is: who has the turn, where it is no other's. Else refuse the run.

    A session is somebody's who has taken it out of a pool, in whose transaction it is, or whose statement it is to
    cancel.
    """
    turn = run.turn
    known = session.lent_to or (session.user if session.is_in_transaction else None) or _cancels_for(session)
    is_elsewhere = turn is not None and turn.session not in (None, session) and turn.session.is_awaited
    if turn is None or turn.pause is not None or known not in (None, turn) or is_elsewhere:
        run.refuse(_refusal(batch, known or turn, turn))
        return None
    return turn


def _cancels_for(session: "Session") -> Client | None:
    target = session.cancels
    return None if target is None else target.lent_to or target.user


def _refusal(batch: Batch, whose: Client | None, turn: Client | None) -> str:
    if whose is None:
        return f"Nobody had the turn when somebody who is no client sent {batch.what}. Spawn a client for it."
    if batch is CANCELS:
        return (
            f"The client {whose.name} cancelled a statement out of its turn, as a time-out in real time does. "
            "Leave out the time-out, or what else cancels it."
        )
    at = whose.pause or (whose.session.doing if whose.session is not None else "what its code does")
    beside = f" while {turn.name} has the turn" if turn is not None and turn is not whose else ""
    return (
        f"The client {whose.name} is at two places at once{beside}: {batch.what} beside {at}. "
        "Spawn a client for each flow of control; tasks and threads of one client cannot be scheduled."
    )
