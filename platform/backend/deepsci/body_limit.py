"""How large a request may be."""

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import Receive, Scope, Send

from deepsci.errors import ErrorCode, answer

MAX_BODY_BYTES: Final = 1024 * 1024


class BodyLimit(RequestBodyLimitMiddleware):
    """Refuses a body that is too large, in the one shape.

    Starlette's own counts what arrives, and leaves the answer to the handlers; where the request says beforehand that
    it is too large, it would answer in plain text.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or let the application do it."""
        if scope["type"] == "http" and _declared_bytes(scope) > self.max_body_size:
            refusal = answer(ErrorCode.REQUEST_TOO_LARGE, "The body is larger than any request needs to be.")
            await refusal(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _declared_bytes(scope: Scope) -> int:
    try:
        return int(Headers(scope=scope).get("content-length", 0))
    except ValueError:  # the server's to refuse; what arrives is counted
        return 0
