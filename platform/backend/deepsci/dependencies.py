"""What endpoints ask FastAPI for. Everything with an effect comes from the application factory's arguments."""

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from deepsci.clock import Clock
from deepsci.ids import IdSource


# Async, although they wait for nothing: a plain function is called through a thread, an async one at once.
async def session_of(request: Request) -> Session:
    """Return the session of the request's transaction, which its route has begun and ends."""
    session: Session = request.state.session
    return session


async def clock_of(request: Request) -> Clock:
    """Return the application's clock."""
    clock: Clock = request.app.state.clock
    return clock


async def ids_of(request: Request) -> IdSource:
    """Return the application's source of ids and secrets."""
    ids: IdSource = request.app.state.ids
    return ids


RequestSession = Annotated[Session, Depends(session_of)]
RequestClock = Annotated[Clock, Depends(clock_of)]
RequestIds = Annotated[IdSource, Depends(ids_of)]
