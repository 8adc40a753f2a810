"""The kinds of pools that can be attached."""

from pgdst.errors import ConfigurationError
from pgdst.simulation.pools.asyncpg_pool import AsyncpgPool
from pgdst.simulation.pools.attached_pool import AttachedPool
from pgdst.simulation.pools.psycopg_pools import AsyncPsycopgPool, PsycopgPool


def kind_of(found: object) -> type[AttachedPool] | None:
    """Return the class that attaches this pool, or None if it is no known pool.

    Raises: ConfigurationError, if the pool keeps no connections.
    """
    kinds = {"asyncpg.pool": AsyncpgPool, "psycopg_pool.pool": PsycopgPool, "psycopg_pool.pool_async": AsyncPsycopgPool}
    modules = [kind.__module__ for kind in type(found).__mro__]
    if any(module.startswith("psycopg_pool.null_pool") for module in modules):
        raise ConfigurationError(
            f"A {type(found).__name__} keeps no connections, and waits in real time. Make a ConnectionPool, or let it "
            "connect to simulation.url()."
        )
    return next((kinds[module] for module in modules if module in kinds), None)
