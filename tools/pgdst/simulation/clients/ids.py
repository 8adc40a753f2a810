"""Ids and secrets that depend on the seed alone."""

import hashlib
import uuid
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# The client if none was named: in set-up, or in a program with one client.
NOBODY: Final = "nobody"

_acting_client: ContextVar[str] = ContextVar("acting_client", default=NOBODY)


@contextmanager
def acting_as(client: str) -> Iterator[None]:
    """Draw ids from the streams of `client` in this context and in copies of it.

    Starlette's TestClient copies the context into the endpoint, so the application's id source sees the name.
    """
    token = _acting_client.set(client)
    try:
        yield
    finally:
        _acting_client.reset(token)


class SeededIds:
    """Ids and secrets, in one stream for each client and purpose.

    The n-th value of a stream is a hash of (seed, client, purpose, n). It does not depend on other clients or other
    purposes, so that dropping a step of a run changes no id of another stream.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn: Counter[tuple[str, str]] = Counter()

    def new_uuid(self, purpose: str) -> uuid.UUID:
        """Return the next id of the acting client's stream, in the form of a version 4 UUID."""
        return uuid.UUID(bytes=self._next_digest("uuid", purpose)[:16], version=4)

    def new_secret(self, purpose: str) -> str:
        """Return the next secret of the acting client's stream: 256 bits in URL-safe base64, without padding."""
        return urlsafe_b64encode(self._next_digest("secret", purpose)).decode().rstrip("=")

    def _next_digest(self, kind: str, purpose: str) -> bytes:
        client = _acting_client.get()
        stream = (client, f"{kind}:{purpose}")
        number = self._drawn[stream]
        self._drawn[stream] += 1
        # repr keeps the parts apart: ("a", "bc") and ("ab", "c") are two streams.
        return hashlib.sha256(repr((self._seed, *stream, number)).encode()).digest()
