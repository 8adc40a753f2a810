"""Requests to the application in the caller's own thread.

Starlette's TestClient sends each request through another thread, in which a loop hands it on to a third one: eight
hand-overs a request, which took longer than the application itself. Here a request has a loop of its own in the thread
that sends it, and what the application would do in a worker thread is done at once. The loop runs one request alone,
so nobody waits for it meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from anyio._backends._asyncio import AsyncIOBackend
from starlette.types import ASGIApp, Message

HOST = "testserver"


@dataclass(frozen=True)
class Response:
    """The answer of an application."""

    status: int
    text: str


@dataclass
class InProcessClient:
    """A client of an application, for any number of threads."""

    app: ASGIApp
    _idle_loops: list[asyncio.AbstractEventLoop] = field(default_factory=list)

    def request(self, method: str, target: str, headers: Mapping[bytes, bytes], content: str | None) -> Response:
        """Send a request and return the answer. Raises: what the application raises."""
        body = (content or "").encode(errors="surrogatepass")
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": [
                (b"host", HOST.encode()),
                *([(b"content-length", str(len(body)).encode())] if content is not None else []),
                *((name.lower(), value) for name, value in headers.items()),
            ],
            "client": (HOST, 50000),
            "server": (HOST, 80),
            "state": {},
            "extensions": {},
        }
        received = [{"type": "http.request", "body": body}]
        sent: list[Message] = []

        async def receive() -> Message:
            return received.pop() if received else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        with self._loop() as loop:
            loop.run_until_complete(self.app(scope, receive, send))
        [start, *parts] = sent
        return Response(start["status"], b"".join(part["body"] for part in parts).decode())

    def close(self) -> None:
        """Close its loops."""
        while self._idle_loops:
            self._idle_loops.pop().close()

    @contextmanager
    def _loop(self) -> Iterator[asyncio.AbstractEventLoop]:
        loop = self._idle_loops.pop() if self._idle_loops else asyncio.new_event_loop()
        try:
            yield loop
        finally:
            self._idle_loops.append(loop)


@contextmanager
def without_worker_threads() -> Iterator[None]:
    """Let what an application would do in a worker thread be done at once, for this block, in this process."""

    async def run(function: Callable[..., Any], arguments: tuple[Any, ...], *_how: Any, **_options: Any) -> Any:
        return function(*arguments)

    original = AsyncIOBackend.__dict__["run_sync_in_worker_thread"]
    AsyncIOBackend.run_sync_in_worker_thread = staticmethod(run)  # type: ignore[method-assign,assignment]  # put back below
    try:
        yield
    finally:
        AsyncIOBackend.run_sync_in_worker_thread = original  # type: ignore[method-assign]  # as it was
