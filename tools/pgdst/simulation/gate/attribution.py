"""Attribution: a batch at the gate belongs to the client that has the turn, or the run is refused."""

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
    """The owner of another process's connection in this run, according to comments in its statements.

    A comment that names a client counts for the whole transaction, and for nothing before or after it.
    """

    named: Client | None = None  # the client that a statement of the transaction names
    taken_for: Client | None = None  # the client that had the turn when a statement without a name came
    what: str = ""  # that statement
    is_settled: bool = True  # False: a later statement of the transaction may still name the client

    @property
    def doubt(self) -> str:
        """Why the owner is uncertain, or ""."""
        if self.taken_for is None:
            return ""
        turn = f", while {self.taken_for.name} had the turn"
        return f"Nothing says for whom another process sent {self.what}{turn}. {_HOW}"

    def note(self, batch: Batch, turn: Client, *, in_transaction: bool) -> None:
        """Note a batch that arrives while a client has the turn."""
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
    """Return whether a batch only sets up, resets or tests a connection, by settings and catalogue queries."""
    return not batch.says and bool(_SETS_UP.match(batch.text)) and not _DOES.search(batch.text)


def whose(session: "Session", batch: Batch, run: "Run") -> Client | None:
    """Return the client that a batch belongs to, which must have the turn; else refuse the run and return None.

    A session belongs to the client that has taken it out of a pool, or whose transaction is open on it. A cancel
    request belongs to the client whose statement it cancels. Another process has to name the client in a comment.
    """
    turn = run.turn
    known = session.lent_to or (session.user if session.is_in_transaction else None) or _cancels_for(session)
    is_elsewhere = turn is not None and turn.session not in (None, session) and turn.session.is_awaited
    if batch.says and (wrong := _wrong_name(batch, run)):
        run.refuse(wrong)
    elif turn is None or turn.pause is not None or known not in (None, turn) or is_elsewhere:
        run.refuse(_refusal(batch, known or turn, turn))
    else:
        if session.origin is not None:
            session.owner.note(batch, turn, in_transaction=session.is_in_transaction)
        return turn
    return None


def _wrong_name(batch: Batch, run: "Run") -> str:
    """Return why the client that a statement names is wrong, or "" if that client has the turn."""
    name = identity.who(batch.says, run.names)
    if name is None:
        return (
            f"A statement says that it is for {batch.says}, which is none of this run's clients: {batch.what}. "
            "Statements of no client can't be scheduled. Let no background work run, and send simulation.identity() "
            "as the headers of each request."
        )
    if run.turn is not None and run.turn.name == name:
        return ""
    turn = f"{run.turn.name} had the turn" if run.turn is not None else "nobody had the turn"
    return (
        f"A statement for {name} was sent while {turn}: {batch.what}. Its work goes on at the same time as {name}, as "
        "background tasks and work after the answer do. Spawn a client for it, or wait for its end."
    )


def _cancels_for(session: "Session") -> Client | None:
    target = session.cancels
    return None if target is None else target.lent_to or target.user


def _refusal(batch: Batch, whose: Client | None, turn: Client | None) -> str:
    if whose is None:
        return f"Nobody had the turn when a thread that is no client sent {batch.what}. Spawn a client for it."
    if batch is CANCELS:
        return (
            f"The client {whose.name} cancelled a statement out of its turn, as a time-out in real time does. "
            "Remove the time-out, or whatever else cancels it."
        )
    at = whose.pause or (whose.session.doing if whose.session is not None else "what its code does")
    beside = f" while {turn.name} has the turn" if turn is not None and turn is not whose else ""
    return (
        f"The client {whose.name} is at two places at once{beside}: {batch.what} beside {at}. "
        "Spawn a client for each flow of control; tasks and threads of one client cannot be scheduled."
    )
