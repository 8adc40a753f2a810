"""The invariant of time, across all tables."""

import functools
from typing import LiteralString

from psycopg.sql import SQL, Identifier, Literal

from simulation.agents.actions import AgentActions
from simulation.engine.checks import always
from simulation.engine.harness import Harness, collected


class TimeInvariants(AgentActions):
    """Read from every column that the invariants of a domain name in STORED_TIMES."""

    @always
    def stored_times_are_simulated_times(self) -> None:
        """T1: every stored time is the simulated time of the request that stored it."""
        self.expect_rows(
            expected=self.model.times(),
            found={(event, row_id): time for event, row_id, time in self.rows(every_stored_time(type(self)))},
        )


@functools.cache
def every_stored_time(machine: type[Harness]) -> LiteralString:
    """Return the query of all times: event, id of the row, time."""
    columns = [
        SQL("SELECT {}, concat_ws(' ', {}), {column} FROM {} WHERE {column} IS NOT NULL").format(
            Literal(event),
            SQL(", ").join(Identifier(name) for name in key or ("id",)),
            Identifier(table),
            column=Identifier(column),
        )
        for event, table, column, *key in collected(machine, "STORED_TIMES")
    ]
    query = SQL(" UNION ALL ").join(columns) + SQL(" ORDER BY 1, 2")
    return query.as_string()  # of nothing but what the code says
