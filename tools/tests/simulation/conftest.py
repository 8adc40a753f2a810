"""A server of either engine for simulations, and a small database on it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pgdst import project
from pgdst.server import lease
from pgdst.server.address import Server
from pgdst.server.docker import DockerEngine
from pgdst.server.embedded import EmbeddedEngine
from pgdst.server.engine import Engine, Order
from pgdst.server.settings import merged
from pgdst.simulation.backends import Backends, backends_of
from races import SCHEMA, Races
from tiny_backend import KIT

DEADLINE_SECONDS = 10
OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture(scope="session", params=["docker", "embedded"])
def race_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of either engine."""
    engine: Engine = DockerEngine() if request.param == "docker" else EmbeddedEngine()
    held, descriptor = lease.new()
    try:
        yield engine.start(Order(project.load(start=KIT).checkout, held, merged({})))
        engine.remove_run(held, log_lines=0)
    finally:
        lease.release(held, descriptor)


@pytest.fixture(scope="session")
def backends(race_server: Server) -> Iterator[Backends]:
    """Its backends."""
    with backends_of(race_server) as found:
        yield found


@pytest.fixture
def races(race_server: Server, backends: Backends) -> Iterator[Races]:
    """A small database; no session of a simulation is left in it."""
    with race_server.connect() as observer, ExitStack() as opened:
        observer.execute(SCHEMA.encode())
        yield Races(race_server, backends, observer, opened)
        opened.close()
        for (session,) in observer.execute(OTHERS).fetchall():
            assert backends.wait_until_gone(session, DEADLINE_SECONDS)
