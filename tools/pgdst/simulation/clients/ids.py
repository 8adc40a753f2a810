"""Ids and secrets that depend on the seed alone."""

import hashlib
import uuid
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# Who acts when nobody was named: set-up, or a program with one client.
NOBODY: Final = "nobody"

_acting_client: ContextVar[str] = ContextVar("acting_client", default=NOBODY)


@contextmanager
def acting_as(client: str) -> Iterator[None]:
    """Let `client` be the one for whom ids are drawn, in this context and those copied from it.

    Starlette's TestClient copies the context into the endpoint, so the name reaches the application's id source.
    """
    token = _acting_client.set(client)
    try:
        yield
    finally:
        _acting_client.reset(token)


class SeededIds:
    """Ids and secrets in one stream a client and purpose.

    The n-th value of a stream is a hash of (seed, client, purpose, n): what another client does, or how often another
    purpose is asked for, never changes it, so that dropping one step of a run leaves the ids of the others alone.
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
