#!/usr/bin/env python3
"""What a user would pick instead of pgdst, in the settings that its documentation recommends.

Runs in the benchmark's own environment. Prints the milliseconds of what it did as a JSON list on stdout.
Example: .venv-bench/bin/python tools/benchmark/peers.py start testcontainers --image postgres:16-alpine
"""

import importlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psycopg
import schema
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

BACKEND = Path(__file__).parents[2] / "platform" / "backend"
FIRST_SQL = "SELECT version_num FROM alembic_version"
DEADLINE_SECONDS = 60


@click.group()
def main() -> None:
    """Do what pgdst does, without it."""


@main.command()
@click.argument("peer", type=click.Choice(["testcontainers", "docker-py", "docker-run"]))
@click.option("--image", required=True, help="The same image as pgdst's.")
@click.option("--memory", is_flag=True, help="Print the server's memory in MiB instead.")
def start(peer: str, image: str, memory: bool) -> None:
    """From nothing to the first SQL on a migrated database, once; imported before, as pgdst is."""
    importlib.import_module({"testcontainers": "testcontainers.community.postgres"}.get(peer, "docker"))
    begin = time.perf_counter()
    if peer == "docker-run":
        run_nothing(image)
        click.echo(json.dumps([(time.perf_counter() - begin) * 1000]))
        return
    started = {"testcontainers": with_testcontainers, "docker-py": with_docker_py}[peer]
    with started(image) as (url, container):
        migrate(url)
        engine = create_engine(url)
        with engine.connect() as connection:
            connection.execute(text(FIRST_SQL)).one()
        took = (time.perf_counter() - begin) * 1000
        engine.dispose()
        found = memory_of(container) if memory else took
    click.echo(json.dumps([found]))


def run_nothing(image: str) -> None:
    """Run a container that does nothing, as a floor: this is what Docker itself takes."""
    subprocess.run(["docker", "run", "--rm", "--entrypoint", "sh", image, "-c", ":"], check=True)


def memory_of(container: str) -> float:
    """Return the MiB of the container with this id."""
    import docker

    client = docker.from_env()
    used: int = client.api.stats(container, stream=False)["memory_stats"]["usage"]
    client.close()
    return used / 2**20


@contextmanager
def with_testcontainers(image: str) -> Iterator[tuple[str, str]]:
    """Yield the URL and the container's id, as its guide has it.

    Its reaper, which would be started first, is left out: its image may not be at hand.
    """
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(image, driver="psycopg") as postgres:
        yield postgres.get_connection_url(), str(postgres.get_wrapped_container().id)


@contextmanager
def with_docker_py(image: str) -> Iterator[tuple[str, str]]:
    """Yield the URL and the container's id: `docker run` by its Python library, and attempts to connect every 50 ms."""
    import docker

    client = docker.from_env()
    password = secrets.token_urlsafe(16)
    container = client.containers.run(
        image, detach=True, environment={"POSTGRES_PASSWORD": password}, ports={"5432/tcp": ("127.0.0.1", 0)}
    )
    try:
        container.reload()
        published = container.ports["5432/tcp"]
        assert published is not None, "it was asked for"
        port = published[0]["HostPort"]
        url = f"postgresql+psycopg://postgres:{password}@127.0.0.1:{port}/postgres"
        wait(url.replace("+psycopg", ""))
        yield url, str(container.id)
    finally:
        container.remove(force=True, v=True)
        client.close()


def wait(url: str) -> None:
    """Return once the server takes connections. Raises: psycopg.OperationalError after a minute."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def migrate(url: str) -> None:
    """`alembic upgrade head` without the start of another Python."""
    config = Config(str(BACKEND / "alembic.ini"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    os.environ["DATABASE_URL"] = url
    command.upgrade(config, "head")


@main.command()
@click.argument("peer", type=click.Choice(["pytest-postgresql", "TRUNCATE", "drop_all and create_all"]))
@click.option("--times", type=int, default=30, show_default=True, help="How often.")
def clean(peer: str, times: int) -> None:
    """From a database with a test's rows in it to the clean one, again and again.

    On the server that PGDST_DATABASE_URL names, in a database of its own.
    """
    cleaner = {
        "pytest-postgresql": pytest_postgresql,
        "TRUNCATE": truncating,
        "drop_all and create_all": creating,
    }[peer]
    url = os.environ["PGDST_DATABASE_URL"]
    with schema.made_database(url, f"bench_{os.getpid()}") as own, cleaner(own) as clean_again:
        took = []
        for _ in range(times):
            schema.make_dirty(own)
            begin = time.perf_counter()
            clean_again()
            took.append((time.perf_counter() - begin) * 1000)
            schema.check_clean(own)
    click.echo(json.dumps(took))


@contextmanager
def pytest_postgresql(url: str) -> Iterator[Callable[[], None]]:
    """What its fixture `postgresql` does between two tests: drop, and create from the template."""
    from pytest_postgresql.janitor import DatabaseJanitor

    info = psycopg.conninfo.conninfo_to_dict(url)
    login = {name: info[name] for name in ("user", "host", "port", "password")}
    template = f"{info['dbname']}_template"
    with schema.copied_database(url, template):
        janitor = DatabaseJanitor(**login, dbname=info["dbname"], template_dbname=template)

        def clean_again() -> None:
            janitor.drop()
            janitor.init()

        yield clean_again


@contextmanager
def truncating(url: str) -> Iterator[Callable[[], None]]:
    """One TRUNCATE of all tables on an open connection, and the seeded rows again."""
    with psycopg.connect(url, autocommit=True) as connection:

        def clean_again() -> None:
            with connection.transaction():
                connection.execute(f"TRUNCATE {', '.join(schema.TABLES)} RESTART IDENTITY CASCADE")
                connection.execute(schema.SEED)

        yield clean_again


@contextmanager
def creating(url: str) -> Iterator[Callable[[], None]]:
    """SQLAlchemy's drop_all and create_all on an open connection, and the seeded rows again."""
    engine: Engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def clean_again() -> None:
        with engine.begin() as connection:
            schema.METADATA.drop_all(connection)
            schema.METADATA.create_all(connection)
            connection.execute(text(schema.SEED))

    yield clean_again
    engine.dispose()


if __name__ == "__main__":
    main()
