"""The contests of `make bench`: who does what, with which Python."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import docker
from contest import Contest, Contestant, Growth, Measurable, Together
from pgdst.server.docker.engine import DockerEngine
from pgdst.server.docker.image import ensure
from rivals.table import Rivals

HERE: Final = Path(__file__).parent
KIT: Final = HERE.parents[1]
PYTHON: Final = str(KIT / ".venv" / "bin" / "python")
THEIRS: Final = str(KIT / ".venv-bench" / "bin" / "python")
NO_PLUGINS: Final = ("-p", "no:cacheprovider", "-p", "no:frontrun")
EXAMPLES: Final = (100, 1000)
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
            Contestant("pgdst", (PYTHON, str(HERE / "pgdst_peer.py"), "start")),
            Contestant("pgdst, SNAPSHOT=off", (PYTHON, str(HERE / "pgdst_peer.py"), "start", "--snapshot", "off")),
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
            Contestant("pgdst: rewind", _on_a_server(PYTHON, str(HERE / "pgdst_peer.py"), "clean", "rewind")),
            Contestant("pgdst: clone", _on_a_server(PYTHON, str(HERE / "pgdst_peer.py"), "clean", "clone")),
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
                (*timed, THEIRS, "-m", "pytest", "-q", *NO_PLUGINS, str(HERE / "with_testcontainers")),
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
            Contestant("pgdst", (PYTHON, str(HERE / "pgdst_peer.py"), "start", "--memory")),
            Contestant("testcontainers", _peer("start", "testcontainers", "--image", used, "--memory")),
        ),
        measure="pgdst",
        unit="MiB",
    )


def disk(used: str) -> Contest:
    """Compare what is kept on disk for the next start with what is left there after one; the image is all's."""
    on_disk = (sys.executable, str(HERE / "docker_disk.py"))
    return Contest(
        "Disk that Docker holds beside the image: for the next start, and more after it than before",
        (
            Contestant("pgdst: its snapshot", (PYTHON, str(HERE / "pgdst_peer.py"), "start", "--disk")),
            Contestant("pgdst: left", (*on_disk, PYTHON, str(HERE / "pgdst_peer.py"), "start")),
            Contestant("testcontainers: left", (*on_disk, *_peer("start", "testcontainers", "--image", used))),
            Contestant("docker-py: left", (*on_disk, *_peer("start", "docker-py", "--image", used))),
        ),
        measure="pgdst: its snapshot",
        unit="MiB",
    )


def examples(_used: str) -> Growth:
    """See whether a server grows with the examples that have used it."""
    return Growth(
        "A server after a hundred and after a thousand examples, each on a clean database",
        Contestant("examples", _on_a_server(PYTHON, str(HERE / "pgdst_peer.py"), "examples", *map(str, EXAMPLES))),
        ("disk, MiB", "memory, MiB", "sessions"),
        EXAMPLES,
    )


def steps(_used: str) -> Contest:
    """Measure the steps a second of clients with ten transactions of three statements each."""
    return _speed("Steps of a schedule a second, each client with ten transactions of three statements")


def schedules(_used: str) -> Contest:
    """Measure the schedules a second of clients with one transaction, the database cleared before each."""
    return _speed("Schedules a second, each client with one transaction of three statements", "--schedules")


def _speed(title: str, *options: str) -> Contest:
    command = (PYTHON, str(HERE / "schedules.py"), "speed", *options, "--clients")
    apart = [Contestant(f"{n} clients, a row each", _on_a_server(*command, str(n))) for n in (2, 3, 4)]
    clash = [Contestant(f"{n} clients, one row", _on_a_server(*command, str(n), "--contended")) for n in (2, 3, 4)]
    return Contest(title, (*apart, *clash), measure=apart[0].name, unit="/s")


def parts(_used: str) -> Contest:
    """Measure where the time of a step goes."""
    command = (PYTHON, str(HERE / "schedules.py"), "part", "--clients", "3")
    names = ("statements", "clients", "observer", "signals", "the rest")
    apart = [Contestant(f"{name}, a row each", _on_a_server(*command, name)) for name in names]
    clash = [Contestant(f"{name}, one row", _on_a_server(*command, "--contended", name)) for name in names]
    about = "statements: proxy and Postgres; clients: SQLAlchemy, driver, threads taking turns"
    title = f"Where the time of a step goes, three clients ({about})"
    return Contest(title, (*apart, *clash), measure=apart[0].name, unit="us")


def faults(_used: str) -> Contest:
    """Measure what each kind of fault costs, and the parts of that: a session's end, a crash, a new connection."""
    return Together(
        "Two runs of one client, the first of them struck, and the parts of a fault",
        (Contestant("faults", _on_a_server(PYTHON, str(HERE / "fault_costs.py"))),),
        measure="no fault",
    )


def rivals(_used: str) -> Rivals:
    """Compare tools that look for races: what they find, after how long, and by how much of a test."""
    return Rivals(
        "Bugs and their right twins, each tested by explore, frontrun's DPOR, and 200 runs of plain threads",
        Contestant("rivals", _on_a_server(PYTHON, str(HERE / "rivals" / "run_all.py"))),
    )


def probability(depth: int) -> Callable[[str], Contest]:
    """Return the contest that measures how often a bug of this depth is found in 200 runs."""

    def contest(_used: str) -> Contest:
        command = (PYTHON, str(HERE / "schedules.py"), "found", "--depth", str(depth))
        ways = {"uniform": "uniform", f"PCT of depth {depth}": "pct", "threads without a scheduler": "threads"}
        contestants = tuple(Contestant(name, _on_a_server(*command, by)) for name, by in ways.items())
        return Contest(f"Part of 200 runs that show a bug of depth {depth}", contestants, measure="uniform", unit="%")

    return contest


def _peer(*arguments: str) -> tuple[str, ...]:
    return (THEIRS, str(HERE / "peers.py"), *arguments)


def _on_a_server(*command: str) -> tuple[str, ...]:
    return (WITH_POSTGRES, "--", *command)


CONTESTS: Final[dict[str, Callable[[str], Measurable]]] = {
    "start": start,
    "clean": clean,
    "whole": whole,
    "memory": memory,
    "disk": disk,
    "examples": examples,
    "steps": steps,
    "schedules": schedules,
    "parts": parts,
    "faults": faults,
    "rivals": rivals,
    **{f"depth-{depth}": probability(depth) for depth in (1, 2, 3)},
}
