"""What endpoints ask FastAPI for. Everything with an effect comes from the application factory's arguments."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session, sessionmaker

from deepsci.clock import Clock
from deepsci.ids import IdSource


def open_session(request: Request) -> Iterator[Session]:
    """Yield the request's session: one transaction, committed before the answer leaves, rolled back on an error."""
    sessions: sessionmaker[Session] = request.app.state.sessions
    with sessions.begin() as session:
        yield session


# Async, although they wait for nothing: a plain function is called through a thread, an async one at once.
async def clock_of(request: Request) -> Clock:
    """Return the application's clock."""
    clock: Clock = request.app.state.clock
    return clock


async def ids_of(request: Request) -> IdSource:
    """Return the application's source of ids and secrets."""
    ids: IdSource = request.app.state.ids
    return ids


# Scope "function" ends the transaction before the answer is sent: what a client was told has been committed.
RequestSession = Annotated[Session, Depends(open_session, scope="function")]
RequestClock = Annotated[Clock, Depends(clock_of)]
RequestIds = Annotated[IdSource, Depends(ids_of)]
