"""How many connections the workers of a run need, against what the server allows."""

import psycopg

from pgdst.errors import ConfigurationError

# The kit's own (migrating, cloning, rewinding, dropping), an observer, and SQLAlchemy's pool with its overflow.
A_WORKER = 4 + 1 + 15


def require_connections(connection: psycopg.Connection, workers: int) -> None:
    """Return only if the server allows enough connections for so many workers.

    Raises: ConfigurationError, with the settings that would do.
    """
    query = "SELECT current_setting(%s)::int"
    allowed, reserved = (
        connection.execute(query, (name,)).fetchall()[0][0]
        for name in ("max_connections", "superuser_reserved_connections")
    )
    needed, usable = workers * A_WORKER, allowed - reserved
    if needed > usable and workers > 1:
        raise ConfigurationError(
            f"{workers} workers need {needed} connections ({A_WORKER} each), the server allows {usable}. Use "
            f"WORKERS={max(1, usable // A_WORKER)}, or set max_connections = {needed + reserved} in "
            "[tool.pgdst.settings] of pyproject.toml."
        )
