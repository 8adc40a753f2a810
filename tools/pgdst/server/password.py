"""The password of a server's role: random, given anew to a server that started from a snapshot."""

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg

_LOCK: Final = 0x70617373776F7264  # "password"


def new_password() -> str:
    """Return a random password that needs no quoting in a URL."""
    return secrets.token_urlsafe(24)


def set_password(connection: "psycopg.Connection", user: str, password: str) -> None:
    """Give the role a new password; only its SCRAM verifier is sent, and may get into the server's log.

    Everybody who finds a server just started does so, and Postgres refuses two at once: they take turns.
    """
    verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        connection.execute(f"""ALTER ROLE "{user}" PASSWORD '{verifier}'""")
