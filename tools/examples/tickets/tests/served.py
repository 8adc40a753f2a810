"""The application as it is, and around it what says for whom a statement is: `uvicorn tests.served:app`."""

from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, event
from tickets import main

asked_by: ContextVar[str] = ContextVar("asked_by", default="")


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def say_for_whom(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    """Add a comment to each statement."""
    return f"{statement} /*pgdst_client='{asked_by.get()}'*/" if asked_by.get() else statement, parameters


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Note who asks, and answer."""
    asked_by.set(dict(scope.get("headers", ())).get(b"x-pgdst-client", b"").decode())
    await main.app(scope, receive, send)
