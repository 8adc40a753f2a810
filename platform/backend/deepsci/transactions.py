"""A request is one transaction, which is tried again from its start where it and another could not both go on.

Around the whole request and not around a part of it: what was read before the failure may be wrong by now, and so may
everything that was concluded from it. Nothing but the database remembers an attempt, so another one repeats nothing.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from deepsci.clock import Clock

Handler = Callable[[Request], Awaitable[Response]]

# Undone by the server, which says so: a serialization failure and a deadlock. A lost connection is neither, as it may
# have been lost after its commit; who sent the request is told to try again, and knows whether it sent a key.
UNDONE: Final = frozenset({"40001", "40P01"})

# How long to wait before each further attempt. Not drawn: the one that won has gone on meanwhile, so nobody is in step.
PAUSES: Final = tuple(timedelta(milliseconds=milliseconds) for milliseconds in (10, 20, 40, 80))


async def in_one_transaction(request: Request, handle: Handler) -> Response:
    """Return what `handle` makes of the request, once its transaction is committed.

    Raises: what `handle` raises, when the transaction is rolled back; DBAPIError, when the database does.
    """
    clock: Clock = request.app.state.clock
    for pause in PAUSES:
        try:
            return await _attempt(request, handle)
        except DBAPIError as error:
            if not is_undone(error):
                raise
        await run_in_threadpool(clock.sleep, pause)
    return await _attempt(request, handle)


def is_undone(error: DBAPIError) -> bool:
    """Return whether the server has undone a transaction that may well succeed when it is tried again."""
    return getattr(error.orig, "sqlstate", None) in UNDONE


async def _attempt(request: Request, handle: Handler) -> Response:
    sessions: sessionmaker[Session] = request.app.state.sessions
    # FastAPI's own way of calling what blocks: the end has a thread even where all others wait for a connection.
    async with contextmanager_in_threadpool(sessions.begin()) as session:
        request.state.session = session
        return await handle(request)
