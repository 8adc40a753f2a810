"""The engine, the same for the service, its migrations and its tests."""

from sqlalchemy import Engine, create_engine, make_url

DRIVER = "postgresql+psycopg"


def make_engine(url: str) -> Engine:
    """Return an engine for a Postgres URL, on psycopg 3 whichever driver the URL names.

    Raises: sqlalchemy.exc.ArgumentError, when `url` is not a URL.
    """
    return create_engine(
        make_url(url).set(drivername=DRIVER),
        # The services lock a row and then count in a second statement, which must see what was committed meanwhile:
        # right at READ COMMITTED and wrong above it, so a server's default_transaction_isolation may not choose.
        isolation_level="READ COMMITTED",
        # No pool_pre_ping: it asks before every request, 0.2 ms where a request's own statement takes as long, and a
        # connection may be lost after it was asked. The first request that meets a dead one is told to try again, and
        # with it SQLAlchemy gives up all connections that were opened before: a restart costs one answer.
    )
