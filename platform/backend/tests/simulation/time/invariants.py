"""The invariant of time, across all tables."""

import functools
from typing import LiteralString

from psycopg.sql import SQL, Identifier, Literal

from simulation.agents.actions import AgentActions
from simulation.engine.checks import always


class TimeInvariants(AgentActions):
    """Read from every column that the models of the domains name."""

    @always
    def stored_times_are_simulated_times(self) -> None:
        """T1: every stored time is the simulated time of the request that stored it."""
        query = every_stored_time(*self.model.stored_times())
        self.expect_rows(self.model.times(), query, columns=2)


@functools.cache
def every_stored_time(*stored: tuple[str, ...]) -> LiteralString:
    """Return the query of all times: the column, the row's id, the time."""
    columns = [
        SQL("SELECT {}, concat_ws(' ', {}), {column} FROM {} WHERE {column} IS NOT NULL").format(
            Literal(f"{table}.{column}"),
            SQL(", ").join(Identifier(name) for name in key or ("id",)),
            Identifier(table),
            column=Identifier(column),
        )
        for table, column, *key in stored
    ]
    query = SQL(" UNION ALL ").join(columns) + SQL(" ORDER BY 1, 2")
    return query.as_string()  # of nothing but what the code says
