"""The contests of `make bench`: who does what, with which Python."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import docker
from contest import Contest, Contestant
from pgdst.server.docker import DockerEngine
from pgdst.server.image import ensure

HERE: Final = Path(__file__).parent
KIT: Final = HERE.parents[1]
OURS: Final = str(KIT / ".venv" / "bin" / "python")
THEIRS: Final = str(KIT / ".venv-bench" / "bin" / "python")
WITH_POSTGRES: Final = str(KIT / "tools" / "with_postgres.sh")


def image() -> str:
    """Return the name of the image for all: the official one, or the offline one where no registry answers."""
    return ensure(DockerEngine().client).name


def leavings() -> dict[str, int]:
    """Return how many containers and volumes there are."""
    client = docker.from_env()
    return {
        "containers": len(client.api.containers(all=True)),
        "volumes": len(client.api.volumes()["Volumes"] or ()),
    }


def start(used: str) -> Contest:
    """Compare from nothing to the first SQL on a migrated database."""
    return Contest(
        "From nothing to the first SQL on a migrated database (Deep Sci-Fi, 20 migrations)",
        (
            Contestant("pgdst", (OURS, str(HERE / "ours.py"), "start")),
            Contestant("pgdst, SNAPSHOT=off", (OURS, str(HERE / "ours.py"), "start", "--snapshot", "off")),
            Contestant("testcontainers, alembic", _peer("start", "testcontainers", "--image", used)),
            Contestant("docker-py, alembic", _peer("start", "docker-py", "--image", used)),
            Contestant("docker run, nothing else", _peer("start", "docker-run", "--image", used)),
        ),
        measure="pgdst",
    )


def clean(_used: str) -> Contest:
    """Compare from a database with a test's rows in it to the clean one."""
    return Contest(
        "A clean database again (20 tables, 6 of them written, rows seeded in 2)",
        (
            Contestant("pgdst: rewind", _on_a_server(OURS, str(HERE / "ours.py"), "clean", "rewind")),
            Contestant("pgdst: clone", _on_a_server(OURS, str(HERE / "ours.py"), "clean", "clone")),
            *(
                Contestant(peer, _on_a_server(*_peer("clean", peer)))
                for peer in ("TRUNCATE", "drop_all and create_all", "pytest-postgresql")
            ),
        ),
        measure="pgdst: rewind",
    )


def whole(used: str) -> Contest:
    """Compare a whole command with one trivial example, from the shell's prompt to the next."""
    trivial = str(HERE / "trivial")
    make = ("make", "--no-print-directory", "-C", str(KIT), "test-dst")
    timed = (sys.executable, str(HERE / "timed.py"))
    return Contest(
        "A whole run with one trivial example",
        (
            Contestant("make test-dst", (*timed, *make), {"PGDST_SIMULATION": trivial}),
            Contestant("make test-dst SNAPSHOT=off", (*timed, *make, "SNAPSHOT=off"), {"PGDST_SIMULATION": trivial}),
            Contestant(
                "pytest, testcontainers, alembic",
                (*timed, THEIRS, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "with_testcontainers")),
                {"BENCH_IMAGE": used},
            ),
        ),
        measure="make test-dst",
    )


def memory(used: str) -> Contest:
    """Compare the memory of an idle, migrated server, its data included."""
    return Contest(
        "Memory of a migrated server, its data included",
        (
            Contestant("pgdst", (OURS, str(HERE / "ours.py"), "start", "--memory")),
            Contestant("testcontainers", _peer("start", "testcontainers", "--image", used, "--memory")),
        ),
        measure="pgdst",
        unit="MiB",
    )


def _peer(*arguments: str) -> tuple[str, ...]:
    return (THEIRS, str(HERE / "peers.py"), *arguments)


def _on_a_server(*command: str) -> tuple[str, ...]:
    return (WITH_POSTGRES, "--", *command)


CONTESTS: Final[dict[str, Callable[[str], Contest]]] = {
    "start": start,
    "clean": clean,
    "whole": whole,
    "memory": memory,
}
