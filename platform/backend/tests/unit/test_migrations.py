"""migrations/: they go up, down and up again, and lead to what the models say."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.config import Config
from deepsci.database import make_engine
from deepsci.models import Agent, Base, Inbox, Proposal, Validation, World
from sqlalchemy import Connection, Engine, create_engine, select, text
from sqlalchemy.orm import Session

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
DEFINITIONS = text(
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace AND conrelid <> 0 AND conname NOT LIKE 'alembic%' "
    "UNION ALL SELECT tablename, indexname, regexp_replace(indexdef, ' ON \\w+\\.', ' ON ') FROM pg_indexes "
    "WHERE schemaname = current_schema() AND tablename NOT LIKE 'alembic%' ORDER BY 1, 2, 3"
)
COLUMNS = text(
    "SELECT table_name, column_name, data_type, is_nullable, column_default, character_maximum_length "
    "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"
)
ADA, BOB, CYD, PROPOSAL = (UUID(int=n) for n in range(1, 5))


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection to a database at the migrations' head."""
    with engine.connect() as connection:
        yield connection


def alembic(connection: Connection) -> Config:
    """Return Alembic's configuration with a connection handed in."""
    config = Config(ALEMBIC_INI)
    config.attributes["connection"] = connection
    return config


def tables(connection: Connection) -> list[str]:
    """Return the names of all tables."""
    return list(connection.execute(TABLES).scalars())


def everything(connection: Connection) -> list[Any]:
    """Return the columns, constraints and indexes of all tables."""
    return [tables(connection), *connection.execute(COLUMNS), *connection.execute(DEFINITIONS)]


def on_day(day: int) -> datetime:
    """Return the beginning of a day of last year's January."""
    return datetime(2025, 1, day, tzinfo=UTC)


def test_the_migrations_lead_to_the_models(connection: Connection) -> None:
    """Tables, columns, types, defaults, indexes and unique constraints, as Alembic compares them."""
    command.check(alembic(connection))


def test_the_migrations_lead_to_the_constraints_of_the_models(connection: Connection, database: str) -> None:
    """Every constraint and index by name and definition, checks included, which Alembic does not compare."""
    connection.execute(text("CREATE SCHEMA models"))
    connection.commit()
    beside = create_engine(make_engine(database).url, connect_args={"options": "-c search_path=models"})
    with beside.begin() as other:
        Base.metadata.create_all(other)
        expected = other.execute(DEFINITIONS).fetchall()
    beside.dispose()
    assert expected == connection.execute(DEFINITIONS).fetchall()


def test_the_migrations_go_down_and_up_again(connection: Connection) -> None:
    """Down to nothing, up to the same."""
    before = connection.execute(DEFINITIONS).fetchall()
    command.downgrade(alembic(connection), "base")
    assert tables(connection) == ["alembic_version"]
    command.upgrade(alembic(connection), "head")
    assert before == connection.execute(DEFINITIONS).fetchall()


def test_each_migration_goes_down_by_itself_and_up_again(connection: Connection) -> None:
    """One change each: a step back leads to what the step before had led to, and each step changes something."""
    down = [everything(connection)]
    while tables(connection) != ["alembic_version"]:
        command.downgrade(alembic(connection), "-1")
        down.append(everything(connection))
    up = [everything(connection)]
    for _ in down[1:]:
        command.upgrade(alembic(connection), "+1")
        up.append(everything(connection))
    assert down[::-1] == up
    assert all(step != following for step, following in pairwise(up))


@pytest.fixture
def at_0005(connection: Connection) -> Connection:
    """A connection to a database as it was with 0005, in which two have approved what a third has proposed."""
    command.downgrade(alembic(connection), "0005_worlds")
    for username, day in ((ADA, 1), (BOB, 2), (CYD, 3)):
        connection.execute(
            text("INSERT INTO agents VALUES (:id, 'agent-' || :day, repeat(:day, 64), :created_at)"),
            {"id": username, "day": str(day), "created_at": on_day(day)},
        )
    connection.execute(
        text("INSERT INTO proposals VALUES (:id, :author_id, 'Old.', 2200, 'approved', :at, :at, :at)"),
        {"id": PROPOSAL, "author_id": ADA, "at": on_day(4)},
    )
    for voter in (BOB, CYD):
        connection.execute(
            text("INSERT INTO validations VALUES (:voter, :proposal_id, :voter, 'approve', 'Well.', :at)"),
            {"voter": voter, "proposal_id": PROPOSAL, "at": on_day(4)},
        )
    connection.execute(
        text("INSERT INTO worlds VALUES (:id, :id, 'Old.', 2200, :at)"), {"id": PROPOSAL, "at": on_day(4)}
    )
    connection.commit()
    return connection


def test_what_was_there_before_fits_in_afterwards(at_0005: Connection) -> None:
    """The first heartbeat, an inbox, the first revision, and a founder are what they would have been."""
    command.upgrade(alembic(at_0005), "head")
    with Session(at_0005) as session:
        assert {ADA: on_day(1), BOB: on_day(2), CYD: on_day(3)} == {
            agent.id: agent.last_heartbeat_at for agent in session.scalars(select(Agent))
        }
        assert {(ADA, 0, 0), (BOB, 0, 0), (CYD, 0, 0)} == {
            (inbox.agent_id, inbox.last_number, inbox.read_up_to) for inbox in session.scalars(select(Inbox))
        }
        proposal = session.get_one(Proposal, PROPOSAL)
        assert (1, None) == (proposal.revision, proposal.revised_at)
        assert [1, 1] == [validation.revision for validation in session.scalars(select(Validation))]
        assert ADA == session.get_one(World, PROPOSAL).founder_id


def test_what_had_no_word_before_is_left_out_on_the_way_back(at_0005: Connection) -> None:
    """A wish to strengthen goes; a proposal that was revised, the other verdicts and the world stay."""
    command.upgrade(alembic(at_0005), "head")
    at_0005.execute(text("UPDATE validations SET verdict = 'strengthen' WHERE id = :id"), {"id": BOB})
    at_0005.execute(text("UPDATE proposals SET revision = 2, revised_at = created_at"))
    at_0005.commit()
    command.downgrade(alembic(at_0005), "0005_worlds")
    assert [CYD] == at_0005.execute(text("SELECT id FROM validations")).scalars().all()
    assert [PROPOSAL] == at_0005.execute(text("SELECT id FROM proposals")).scalars().all()
    assert [PROPOSAL] == at_0005.execute(text("SELECT id FROM worlds")).scalars().all()
