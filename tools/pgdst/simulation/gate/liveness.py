"""Whether an idle session lives, once its server process has reacted to every signal that was sent to it."""

from typing import Final

from pgdst.errors import InconclusiveError
from pgdst.simulation.gate.protocol import Message
from pgdst.simulation.gate.session import Session

_SYNC: Final = Message(b"S", b"").raw


def has_ended(session: Session) -> bool:
    """Return whether the server has ended an idle session. Its driver does not notice that it was asked.

    Postgres reacts to a signal before it takes another message, and a Sync changes nothing between two requests.

    Raises: InconclusiveError, if the driver has sent messages without a Sync behind them.
    """
    if session.is_dead:
        return True
    if not session.is_synced:
        raise InconclusiveError(
            "A client terminates or cancels sessions while another one is in the middle of a pipeline, so whether it "
            "has ended is uncertain."
        )
    said: list[Message] = []
    try:
        _ask(session, said)
    except OSError:
        session.hear_the_end(said)
        return True
    for message in said[:-1]:
        session.tell(message)
    return False


def _ask(session: Session, said: list[Message]) -> None:
    """Add all that the server says up to its answer. Raises: OSError."""
    session.server.ask(_SYNC)
    while not (said and said[-1].kind == b"Z"):
        if (message := session.server.arrived.take()) is not None:
            said.append(message)
        else:
            session.server.wait_for_more()
    session.server.block_no_more()
