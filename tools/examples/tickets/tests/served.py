"""The application, with a comment in each statement that names the client: `uvicorn tests.served:app`."""

from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, event
from tickets import main

asked_by: ContextVar[str] = ContextVar("asked_by", default="")


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def say_for_whom(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    """Add a comment with the client's name to each statement."""
    return f"{statement} /*pgdst_client='{asked_by.get()}'*/" if asked_by.get() else statement, parameters


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Note the client in the request's header, and answer."""
    asked_by.set(dict(scope.get("headers", ())).get(b"x-pgdst-client", b"").decode())
    await main.app(scope, receive, send)
