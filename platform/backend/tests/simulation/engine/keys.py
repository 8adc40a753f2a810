"""Requests that were sent with an idempotency key, which fault runs stand on as well as the domain of such keys."""

import hashlib
import re
from typing import Any, Final, NamedTuple

from pgdst.simulation.clients.ids import NOBODY

AN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Keyed(NamedTuple):
    """A client and its key. The client is NOBODY where an agent registers; two clients may use the same key."""

    agent: str
    key: str


class KeyedRequest(NamedTuple):
    """A POST that the platform took up, and the exact text of its answer."""

    client: str
    api_key: str | None
    method: str
    path: str
    body: Any
    idempotency_key: str
    status: int
    text: str

    @property
    def kind(self) -> str:
        """The route and how it was answered."""
        return f"{AN_ID.sub('…', self.path)} {self.status}"

    @property
    def keyed(self) -> Keyed:
        """The client and the key."""
        return Keyed(self.client if self.api_key is not None else NOBODY, self.idempotency_key)


def sha256_of(secret: str) -> str:
    """Return the hash of a secret in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
