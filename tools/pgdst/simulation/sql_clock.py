"""A database whose own time and chance go with a simulation's: now(), clock_timestamp(), gen_random_uuid(), random().

now() is what the simulated clock said when the transaction began, as statement_timestamp() is for the statement;
clock_timestamp() is what it says. The n-th value that a client draws is a hash of (seed, client, n).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from pgdst.database.sql_time.sql_determinism import is_installed
from pgdst.errors import ConfigurationError
from pgdst.simulation.clients.clock import SimulatedClock

# Of a session: whose number the values are drawn under, 0 (nobody's) where it is not set. Clients whose numbers differ
# by a multiple of 8 count together. A rollback undoes what the transaction has set, so it is set before one begins.
CLIENT_SETTING = "pgdst.client"


@contextmanager
def sql_clock(connection: psycopg.Connection, clock: SimulatedClock, seed: int) -> Iterator[None]:
    """Let the database's time be the clock's, and what is drawn in it follow from the seed, for the block.

    `connection` is an autocommit one of the simulation's own: it is used whenever the clock is advanced. All sessions
    see the change at once, in the middle of whatever they do.

    Raises: ConfigurationError where the database was made without `sql_determinism`.
    """
    if not is_installed(connection):
        raise ConfigurationError(
            f"The database {connection.info.dbname} has the time of the machine and its own chance. To let a "
            "simulation set them, write sql_determinism = true into [tool.pgdst] of pyproject.toml."
        )
    connection.execute("SELECT pgdst.set_seed(%s)", (_as_bigint(seed),))
    with clock.followed_by(lambda now: connection.execute("SELECT pgdst.set_clock(%s)", (now,))):
        try:
            yield
        finally:
            with suppress(psycopg.OperationalError):  # a server that has gone is not the failure
                connection.execute("SELECT pgdst.let_go()")


def act_as(connection: psycopg.Connection, client: int) -> None:
    """Let what this session draws be the client's of that number."""
    connection.execute("SELECT set_config(%s, %s, false)", (CLIENT_SETTING, str(client)))


def _as_bigint(seed: int) -> int:
    """Return 63 bits that stand for a seed of any size."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8]) >> 1
