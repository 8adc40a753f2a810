"""Whose it is that arrives at the gate: the client's who has the turn, or the run is refused."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgdst.simulation.clients.client import Client
from pgdst.simulation.gate import identity
from pgdst.simulation.gate.batch import CANCELS, Batch

if TYPE_CHECKING:
    from pgdst.simulation.gate.run import Run
    from pgdst.simulation.gate.session import Session

_HOW: Final = (
    "Send simulation.identity() as the headers of each request, and let the backend repeat one of them in a comment of "
    f"its statements: /*pgdst_client='…'*/ with what {identity.HEADER} says, or /*traceparent='…'*/."
)

_SETS_UP: Final = re.compile(
    r"\s*(SELECT\s+1)?\s*$|\s*(SET|SHOW|RESET|DISCARD|CLOSE|UNLISTEN|ROLLBACK|COMMIT|sync)\b"
    r"|\s*(SELECT|WITH)\b.*\b(pg_catalog\.|pg_type\b|pg_advisory_unlock_all\(|current_schema\(|current_setting\(|version\(\))",
    re.IGNORECASE | re.DOTALL,
)
_DOES: Final = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|COPY|LOCK|CALL|nextval|FOR\s+(NO|KEY|SHARE))\b", re.IGNORECASE
)


@dataclass
class Owner:
    """Whose a connection of another process is, as far as its statements have said so in this run.

    One that names a client vouches for its transaction, and for nothing before or after it.
    """

    named: Client | None = None  # by a statement of the transaction
    taken_for: Client | None = None  # who had the turn, for what has named nobody
    what: str = ""  # that was
    is_settled: bool = True  # the transaction may still say whose that was

    @property
    def doubt(self) -> str:
        """Why it is uncertain, or nothing."""
        if self.taken_for is None:
            return ""
        turn = f", while {self.taken_for.name} had the turn"
        return f"Nothing says for whom another process sent {self.what}{turn}. {_HOW}"

    def note(self, batch: Batch, turn: Client, *, in_transaction: bool) -> None:
        """Note what arrives while a client has the turn."""
        if batch.says:
            self.named = turn
            if in_transaction and self.is_settled:
                self.taken_for = None
        elif batch.is_unseen:  # it begins a transaction
            self.named = None
        elif sets_up(batch):
            self.is_settled = self.is_settled and (self.taken_for is None or not batch.ends_transaction)
        elif not in_transaction or self.named is not turn:
            self.taken_for, self.what = self.taken_for or turn, self.what or batch.what
            self.is_settled = self.is_settled and in_transaction


def sets_up(batch: Batch) -> bool:
    """Return whether it only sets a connection up, or back, or tries it: settings, and questions to the catalogue."""
    return not batch.says and bool(_SETS_UP.match(batch.text)) and not _DOES.search(batch.text)


def whose(session: "Session", batch: Batch, run: "Run") -> Client | None:
    """Return the client whose it is: who has the turn, where it is no other's. Else refuse the run.

    A session is somebody's who has taken it out of a pool, in whose transaction it is, or whose statement it is to
    cancel. From another process, statements have to say for whom they are.
    """
    turn = run.turn
    known = session.lent_to or (session.user if session.is_in_transaction else None) or _cancels_for(session)
    is_elsewhere = turn is not None and turn.session not in (None, session) and turn.session.is_awaited
    if batch.says and (said := _said(batch, run)):
        run.refuse(said)
    elif turn is None or turn.pause is not None or known not in (None, turn) or is_elsewhere:
        run.refuse(_refusal(batch, known or turn, turn))
    else:
        if session.origin is not None:
            session.owner.note(batch, turn, in_transaction=session.is_in_transaction)
        return turn
    return None


def _said(batch: Batch, run: "Run") -> str:
    """Return what is wrong with whom a statement names, or nothing where it is who has the turn."""
    name = identity.who(batch.says, run.names)
    if name is None:
        return (
            f"A statement says that it is for {batch.says}, which is none of this run's clients: {batch.what}. "
            "What is sent for nobody can't be scheduled. Let no background work run, and send simulation.identity() "
            "as the headers of each request."
        )
    if run.turn is not None and run.turn.name == name:
        return ""
    turn = f"{run.turn.name} had the turn" if run.turn is not None else "nobody had the turn"
    return (
        f"A statement for {name} was sent while {turn}: {batch.what}. What {name} asked for goes on beside it, as work "
        "in the background does, and what is done after the answer. Spawn a client for it, or wait for its end."
    )


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
