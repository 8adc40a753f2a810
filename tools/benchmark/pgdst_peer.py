#!/usr/bin/env python3
"""What pgdst does, as the benchmark's peers.py has its peers do it.

Runs in the kit's environment. Prints the milliseconds of what it did as a JSON list on stdout.
Example: tools/with_postgres.sh -- .venv/bin/python tools/benchmark/pgdst_peer.py clean rewind
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import docker
import schema
from docker.models.containers import Container

sys.path.insert(0, str(Path(__file__).parents[1]))
from pgdst import project
from pgdst.cli import server_spec
from pgdst.database.databases import Databases
from pgdst.database.template import Template
from pgdst.pytest.options import DISK_MIB, WAIT_SECONDS
from pgdst.pytest.replay import DEFAULT_IMAGE
from pgdst.server.address import Server, from_environment
from pgdst.server.docker import engine as _imported_before  # noqa: F401  unused: imported before the clock runs, as the peers' is
from pgdst.server.docker import snapshot_image
from pgdst.server.engines import make_engine
from pgdst.server.lifetime import lease

MIB = 2**20
USED = """
    SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database) + (SELECT sum(size) FROM pg_ls_waldir()),
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())
"""


@click.group()
def main() -> None:
    """Do it with pgdst."""


@main.command()
@click.option("--snapshot", type=click.Choice(["auto", "off"]), default="auto", show_default=True)
@click.option("--memory", is_flag=True, help="Print the server's memory in MiB instead.")
@click.option("--disk", is_flag=True, help="Print what the snapshot takes beside its image in MiB instead.")
def start(snapshot: str, memory: bool, disk: bool) -> None:
    """From nothing to the first SQL on a migrated database, once."""
    begin = time.perf_counter()
    found = project.load()
    engine = make_engine("docker", DEFAULT_IMAGE, "auto")
    held, descriptor = lease.new()
    try:
        server = engine.start(server_spec(found, held, DISK_MIB, WAIT_SECONDS, snapshot))
        with server.connect() as connection:
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
        took = (time.perf_counter() - begin) * 1000
        click.echo(json.dumps([memory_of(held.run_id) if memory else snapshot_of(held.run_id) if disk else took]))
        engine.remove_run(held, log_lines=0)
    finally:
        lease.release(held, descriptor)


def memory_of(run_id: str) -> float:
    """Return the MiB of the run's container: its processes, and its data, which are in memory."""
    with closing(docker.from_env()) as client:
        used: int = client.api.stats(str(container_of(client, run_id).id), stream=False)["memory_stats"]["usage"]
    return used / MIB


def snapshot_of(run_id: str) -> float:
    """Return the MiB of the image from which the run's container was made beside that image's own base."""
    with closing(docker.from_env()) as client:
        made = container_of(client, run_id).image
        assert made is not None, "it is in use"
        base = client.images.get(made.labels[snapshot_image.BASE])
    return float(made.attrs["Size"] - base.attrs["Size"]) / MIB


def container_of(client: docker.DockerClient, run_id: str) -> Container:
    """Return the run's container."""
    [container] = client.containers.list(filters={"label": f"pgdst.run={run_id}"})
    return container


@main.command()
@click.argument("way", type=click.Choice(["rewind", "clone"]))
@click.option("--times", type=int, default=30, show_default=True, help="How often.")
def clean(way: str, times: int) -> None:
    """From a database with a test's rows in it to the clean one, again and again, on the run's server."""
    server = from_environment(os.environ)
    assert server is not None, "with_postgres.sh names it"
    with schema.made_database(server.url, f"bench_{os.getpid()}") as own:
        there = server.with_database(own.rpartition("/")[2])
        took = list({"rewind": rewinds, "clone": clones}[way](there, times))
    click.echo(json.dumps([seconds * 1000 for seconds in took]))


def rewinds(server: Server, times: int) -> Iterator[float]:
    """Yield the seconds from giving a written database back to having it, or another, lent again."""
    databases = Databases(server)
    lent = databases.lend()
    url = lent.__enter__()
    for _ in range(times):
        schema.make_dirty(libpq(url))
        begin = time.perf_counter()
        lent.__exit__(None, None, None)
        lent = databases.lend()
        url = lent.__enter__()
        yield time.perf_counter() - begin
        schema.check_clean(libpq(url))
    lent.__exit__(None, None, None)
    databases.close()
    assert not databases.given_up, f"not rewound, but cloned: {databases.given_up}"


def clones(server: Server, times: int) -> Iterator[float]:
    """Yield the seconds that a new clone takes; a used one is dropped behind the test's back."""
    with server.with_database("postgres").connect() as connection:
        template = Template(server, connection)
        template.make()
        for number in range(times):
            name = f"{server.database}_{number}"
            begin = time.perf_counter()
            template.clone(name)
            yield time.perf_counter() - begin
            schema.make_dirty(libpq(server.with_database(name).url))
            template.drop(name)
        template.connection.execute(f"ALTER DATABASE {template.name} IS_TEMPLATE false")
        template.drop(template.name)


@main.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1, required=True)
def examples(numbers: tuple[int, ...]) -> None:
    """Lend a database for one example after another; print what the run's server uses after so many of them each.

    A list for each number: MiB of disk, MiB of memory, sessions.
    """
    server = from_environment(os.environ)
    assert server is not None, "with_postgres.sh names it"
    used = []
    with schema.made_database(server.url, f"bench_{os.getpid()}") as own:
        databases = Databases(server.with_database(own.rpartition("/")[2]))
        for number in range(1, max(numbers) + 1):
            with databases.lend() as url:
                schema.make_dirty(libpq(url))
            if number in numbers:
                used.append(used_by(server))
        databases.close()
    click.echo(json.dumps(used))


def used_by(server: Server) -> list[float]:
    """Return the MiB of the server's databases and log of changes, the MiB of its memory, and its sessions."""
    with server.with_database("postgres").connect() as connection:
        [(disk, sessions)] = connection.execute(USED).fetchall()
    return [float(disk) / MIB, memory_of(server.run_id), sessions]


def libpq(url: str) -> str:
    """Return a SQLAlchemy URL as libpq takes it."""
    return url.replace("+psycopg", "")


if __name__ == "__main__":
    main()
