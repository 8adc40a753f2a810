"""The application, with a comment in each statement that names the client: `flask --app tests.served run`."""

from typing import Any

from flask import has_request_context, request
from sqlalchemy import Engine, event
from transfers.main import app

__all__ = ["app"]


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def say_for_whom(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    """Add a comment with the client's name to each statement of a request."""
    found = request.headers.get("x-pgdst-client") if has_request_context() else None
    return f"{statement} /*pgdst_client='{found}'*/" if found else statement, parameters
