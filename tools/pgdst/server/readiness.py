"""Waiting until a server answers SQL, with our id and our settings."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pgdst.errors import ServerNotReadyError, ServerUnreachableError
from pgdst.server import settings
from pgdst.server.address import Server, require_ours
from pgdst.server.password import set_password
from pgdst.server.spec import ServerSpec

if TYPE_CHECKING:
    import psycopg

POLL_SECONDS = 0.003
CONNECT_SECONDS = 2


def wait_until_ready(server: Server, spec: ServerSpec, died: Callable[[], str | None]) -> None:
    """Return once the server answers SQL at its published address and runs with our id and settings.

    One that was started from a snapshot gets its own password. `died` returns why the server has ended, or None while
    it lives; it is asked every few milliseconds.

    Raises: ServerNotReadyError, with what `died` said, or with the last refusal when the deadline has passed.
    Source: docker-library/postgres issue 146: the image first starts a temporary server without TCP, so neither its
    log nor pg_isready in the container tells.
    """
    while True:
        if (cause := died()) is not None:
            raise ServerNotReadyError(cause)
        try:
            with _first_connection(server) as connection:
                require_ours(connection, server.run_id)
                settings.verify(connection, spec.settings)
                if server.initial_password is not None:
                    set_password(connection, server.user, server.password)
                return
        except ServerUnreachableError as error:
            refusal = str(error.__cause__).strip()
        if spec.end.has_passed:
            raise ServerNotReadyError(
                f"The server did not answer at {server.host}:{server.port} within {spec.wait_seconds:g} s: {refusal}\n"
                "What to do: wait longer (--wait-seconds), or, where the port of the daemon is reached under another "
                "name (a remote daemon, a container with the daemon's socket), set PUBLISHED_HOST "
                "(to 127.0.0.1: a port is published, and this machine's network not shared)."
            )
        time.sleep(POLL_SECONDS)


def _first_connection(server: Server) -> "psycopg.Connection":
    """Log in with the snapshot's password, or with the server's own where it has been given that already.

    Raises: ServerUnreachableError.
    """
    if server.initial_password is None:
        return server.connect(timeout_seconds=CONNECT_SECONDS)
    import psycopg

    try:
        return replace(server, password=server.initial_password).connect(timeout_seconds=CONNECT_SECONDS)
    except ServerUnreachableError as error:
        if isinstance(error.__cause__, psycopg.OperationalError) and "password" in str(error.__cause__):
            return server.connect(timeout_seconds=CONNECT_SECONDS)
        raise
