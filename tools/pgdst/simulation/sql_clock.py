"""The sql clock: now(), clock_timestamp(), gen_random_uuid() and random() of a database follow the simulation.

now() is the simulated time at which the transaction began, and statement_timestamp() that at which the statement
began. clock_timestamp() is the simulated time of the call. The n-th value that a client draws is a hash of
(seed, client, n).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from pgdst.database.sql_time.sql_determinism import is_installed
from pgdst.errors import ConfigurationError
from pgdst.simulation.clients.clock import SimulatedClock

# The number of the client for which a session draws values; 0, no client, if it is not set. Clients whose numbers
# differ by a multiple of 8 share a counter. A rollback undoes settings of its transaction, so set this before one
# begins.
CLIENT_SETTING = "pgdst.client"


@contextmanager
def sql_clock(connection: psycopg.Connection, clock: SimulatedClock, seed: int) -> Iterator[None]:
    """Make the database's time follow the clock, and its random values follow the seed, for the block.

    `connection` is an autocommit connection for this purpose alone: it is used whenever the clock is advanced. All
    sessions see the change at once, even in the middle of a statement.

    Raises: ConfigurationError, if the database was made without `sql_determinism`.
    """
    if not is_installed(connection):
        raise ConfigurationError(
            f"The database {connection.info.dbname} uses the machine's time and its own random values. To let a "
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
    """Draw this session's random values from the stream of the client with that number."""
    connection.execute("SELECT set_config(%s, %s, false)", (CLIENT_SETTING, str(client)))


def _as_bigint(seed: int) -> int:
    """Return a 63-bit hash of a seed of any size."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8]) >> 1
