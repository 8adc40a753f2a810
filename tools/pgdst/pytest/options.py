"""The options of a simulation."""

import os
from argparse import SUPPRESS
from pathlib import Path

import pytest

from pgdst.pytest.replay import DEFAULT_FAULTS
from pgdst.pytest.simulation_run import FAULTS
from pgdst.server.engines import ENGINES

WAIT_SECONDS = 60
DISK_MIB = 1024
SHRINK_SECONDS = 30.0


def add_options(parser: pytest.Parser) -> None:
    """Add the options of a simulation."""
    group = parser.getgroup("pgdst", "deterministic simulation on a throw-away Postgres")
    group.addoption("--pgdst-seed", type=int, help="the same seed gives the same run (default: a new one, printed)")
    group.addoption("--pgdst-examples", type=int, help="how many runs of the state machine")
    group.addoption("--pgdst-profile", metavar="NAME", help="how thorough; the names are the backend's own")
    group.addoption("--pgdst-shard", type=int, metavar="K", help="run only the shard K, from 0")
    group.addoption("--pgdst-schedule", metavar="TEXT", help="run this schedule in `explore` instead of a search")
    group.addoption(
        "--pgdst-keep-failures",
        type=lambda path: Path(path).absolute(),
        metavar="FOLDER",
        help="keep shards that fail in .pgdst/failures of this folder",
    )
    group.addoption("--pgdst-search", type=_search, metavar="FD:FOLDER", help=SUPPRESS)  # by `pgdst.search.workers`
    group.addoption(
        "--pgdst-own-servers",
        action="store_true",
        help="start a server for each worker of xdist but the first",
    )
    group.addoption(
        "--pgdst-shrink-seconds",
        type=float,
        default=os.environ.get("PGDST_SHRINK_SECONDS") or SHRINK_SECONDS,
        metavar="S",
        help="how many seconds to shrink a failing example (default: %(default)s)",
    )
    group.addoption(
        "--pgdst-trace",
        type=lambda path: Path(path).absolute(),
        metavar="FILE",
        help="write the run's trace to this file (with workers of xdist a file a shard: FILE.0, FILE.1 …)",
    )
    group.addoption(
        "--pgdst-jitter",
        type=int,
        metavar="N",
        help="add random waits, drawn from N, wherever the kit touches the world; they must change no run",
    )
    group.addoption(
        "--pgdst-after",
        type=int,
        metavar="SEED",
        help="first run a few examples of another seed in the same databases; they must change no run",
    )
    group.addoption(
        "--pgdst-faults",
        choices=FAULTS,
        default=os.environ.get("PGDST_FAULTS") or DEFAULT_FAULTS,
        help="which faults are injected; all: also those that hit the whole server, with all its other users",
    )
    group.addoption(
        "--pgdst-engine",
        choices=ENGINES,
        default=os.environ.get("PGDST_ENGINE") or "docker",
        help="the engine of the server that pytest starts itself, if it is run by hand",
    )


def _search(text: str) -> tuple[int, Path]:
    descriptor, _, folder = text.partition(":")
    return int(descriptor), Path(folder)
