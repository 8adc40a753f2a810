"""Where the application gets its ids and secrets from."""

import secrets
import uuid
from typing import Protocol


class IdSource(Protocol):
    """New ids and secrets.

    `purpose` says what the value is for ("proposal", "api-key"): a seeded source keeps one stream a purpose, so that
    asking for one kind of id more often does not change the others.
    """

    def new_uuid(self, purpose: str) -> uuid.UUID:
        """Return an id that was never returned before."""

    def new_secret(self, purpose: str) -> str:
        """Return a secret of at least 256 bits, in characters that may stand in a header."""


class SystemIds:
    """The operating system's randomness, for a deployed service."""

    def new_uuid(self, purpose: str) -> uuid.UUID:  # noqa: ARG002  the system has one stream for every purpose
        """Return a random (version 4) UUID."""
        return uuid.uuid4()

    def new_secret(self, purpose: str) -> str:  # noqa: ARG002  see new_uuid
        """Return 256 random bits in URL-safe base64."""
        return secrets.token_urlsafe(32)
