"""Changes of the schema at once."""

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer

from bug_patterns.pattern import Client, Pattern, ask, do, statements, two, tx

MIGRATIONS = ScriptDirectory(str(Path(__file__).parents[2] / "examples" / "tickets" / "migrations"))
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(1)"
CREATE = "CREATE TABLE IF NOT EXISTS sessions (id int)"


def _upgrade(*, locks: bool) -> Client:
    """Return what `alembic upgrade head` does at the start of an application's process.

    Without `alembic.op`, which is one for all threads of a process.
    """

    def work(connection: Connection) -> None:
        if locks:
            do(connection, ONE_AT_A_TIME)
        context = MigrationContext.configure(connection)
        if not context.get_current_heads():
            Operations(context).create_table("sales", Column("id", Integer))
            context.stamp(MIGRATIONS, "head")

    return tx(work)


def _emptied(how: str) -> Client:
    """Return a client that counts, and empties the table where there are too many."""

    def work(connection: Connection) -> None:
        if ask(connection, "SELECT count(*) FROM jobs") > 1:
            do(connection, how)

    return tx(work)


SCHEMA_CHANGES = {
    "create_table_if_not_exists": Pattern(two(statements(CREATE)), two(statements(ONE_AT_A_TIME, CREATE))),
    "alembic_twice_at_once": Pattern(two(_upgrade(locks=False)), two(_upgrade(locks=True))),
    "truncated_with_what_came_meanwhile": Pattern(
        {"ada": _emptied("TRUNCATE jobs"), "bob": statements("INSERT INTO jobs VALUES (3)")},
        {"ada": _emptied("DELETE FROM jobs WHERE id < 3"), "bob": statements("INSERT INTO jobs VALUES (3)")},
        "SELECT count(*) = 1 FROM jobs",
    ),
}
