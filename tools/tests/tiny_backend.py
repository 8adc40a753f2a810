"""A backend of the smallest size: one table, one migration, a simulation of a second; and a copy of the kit for it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

KIT = Path(__file__).resolve().parents[2]

ENV = """
from alembic import context
from sqlalchemy import create_engine, NullPool
from tables import metadata

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
TABLES = """
from sqlalchemy import Column, Integer, MetaData, Table

metadata = MetaData()
Table("things", metadata, Column("id", Integer, primary_key=True))
"""
# Two clients of a simulation, with everything closed that is opened.
TWO_CLIENTS = """
from pgdst import Uniform
from sqlalchemy import create_engine, text


def test_it(simulation, database):
    engine = create_engine(database)
    simulation.attach(engine)

    def insert():
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO things DEFAULT VALUES"))

    simulation.spawn("ada", insert)
    simulation.spawn("bob", insert)
    for outcome in simulation.run(Uniform(1)).outcomes.values():
        outcome.get()
    engine.dispose()
"""
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{revision}", {down_revision}


def upgrade():
    {upgrade}


def downgrade():
    pass
"""
SIMULATION = '''
import os, time
import psycopg


def test_the_things_are_counted():
    """A second of work on the run's database, found through libpq's variables."""
    end = time.monotonic() + float(os.environ.get("TINY_SECONDS", "1"))
    with psycopg.connect(autocommit=True) as connection:
        while time.monotonic() < end:
            connection.execute("INSERT INTO things DEFAULT VALUES")
            time.sleep(0.01)
'''


@dataclass(frozen=True)
class Backend:
    """A backend's folder, with a pyproject.toml that names it."""

    root: Path

    def migrate(self, revision: str, upgrade: str, down_revision: str | None = None) -> "Backend":
        """Add a migration."""
        text = MIGRATION.format(revision=revision, down_revision=repr(down_revision), upgrade=upgrade)
        (self.root / "migrations" / "versions" / f"{revision}.py").write_text(text)
        return self

    def configure(self, table: str) -> "Backend":
        """Write `[tool.pgdst]`."""
        (self.root / "pyproject.toml").write_text(f"[tool.pgdst]\n{table}\n")
        return self


def write(root: Path) -> Backend:
    """Write a backend into the folder `root`, with one migration that makes one table."""
    (root / "migrations" / "versions").mkdir(parents=True)
    (root / "tests" / "simulation").mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = migrations\npath_separator = os\n")
    (root / "migrations" / "env.py").write_text(ENV)
    (root / "tables.py").write_text(TABLES)
    (root / "tests" / "simulation" / "test_tiny.py").write_text(SIMULATION)
    (root / "tests" / "conftest.py").write_text('pytest_plugins = ["pgdst.pytest.plugin"]\n')
    backend = Backend(root).configure('backend = "."')
    return backend.migrate("0001_things", "op.create_table('things', sa.Column('id', sa.Integer, primary_key=True))")


def copy_kit(to: Path) -> Path:
    """Make another checkout of the kit, which shares the virtual environment; return its folder."""
    unneeded = shutil.ignore_patterns("__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache")
    to.mkdir(parents=True)
    for name in ("tools", "platform"):
        shutil.copytree(KIT / name, to / name, ignore=unneeded)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(KIT / name, to / name)
    (to / ".venv").symlink_to(KIT / ".venv")
    return to
