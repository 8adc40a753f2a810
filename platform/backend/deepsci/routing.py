"""Routes that are one transaction each, and ask who is there before they say that a body is no JSON.

FastAPI reads a body before anything else, and refuses at once what is no JSON; a model refuses it in its turn.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from deepsci.transactions import in_one_transaction


class PatientRequest(Request):
    """A request whose body may be anything."""

    async def json(self) -> Any:
        """Return what the body says in JSON, else its bytes, which no model takes."""
        try:
            return await super().json()
        except (ValueError, RecursionError):
            return await self.body()


class PatientRoute(APIRoute):
    """A route that refuses in the order of all others: the key first, then the path, the query, headers and body.

    What it answers has been committed.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, with another kind of request and in a transaction."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            # The same request each time it is tried: it keeps its body, which is received once.
            return await in_one_transaction(PatientRequest(request.scope, request.receive), handler)

        return handle
