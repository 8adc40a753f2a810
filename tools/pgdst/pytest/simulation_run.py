"""The command that runs a simulation by pytest."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from pgdst.errors import ConfigurationError
from pgdst.installation import CHECKOUT
from pgdst.project import Project
from pgdst.pytest.replay import LINE

MOST_WORKERS: Final = 8
FAULTS: Final = ("off", "some", "all")  # as in pgdst.simulation.faults.kinds, which is slow to import


def command(
    project: Project,
    seed: int,
    profile: str | None,
    examples: int | None,
    arguments: Sequence[str],
    *,
    workers: int = 1,
    shard: int | None = None,
    faults: str | None = None,
) -> list[str]:
    """Return the command that runs the simulation, or one shard of it, from the backend's folder.

    With several workers each has a server of its own, and takes shards as long as there are some.

    Raises: ConfigurationError, if the simulation's folder does not exist or pytest-xdist is not installed.
    """
    if not project.simulation.exists():
        raise ConfigurationError(
            f"There is no simulation at {project.simulation}. "
            "Correct `simulation` in [tool.pgdst] of pyproject.toml, or use --simulation."
        )
    chosen = [f"--pgdst-seed={seed}"]
    chosen += [f"--pgdst-shard={shard}"] if shard is not None else []
    chosen += [f"--pgdst-profile={profile}"] if profile else []
    chosen += [f"--pgdst-examples={examples}"] if examples else []
    chosen += [f"--pgdst-faults={faults}"] if faults else []
    if workers > 1 and shard is None:
        if find_spec("xdist") is None:
            raise ConfigurationError(
                f"{workers} workers need pytest-xdist, which {sys.executable} does not have. "
                "Install it, or use WORKERS=1."
            )
        # Not -x: all shards before a failed one have to end, so that the first failure is the same in each run.
        chosen += ["--pgdst-own-servers", f"--numprocesses={workers}", "--dist=load", "--maxschedchunk=1"]
    else:
        chosen += ["-x"]
    pytest = [sys.executable, "-m", "pytest", str(project.simulation), "--tb=short", "-p", "pgdst.pytest.plugin"]
    return [*pytest, *chosen, *arguments]


def default_workers() -> int:
    """Return the default number of processes for a run: the number of cores, at most eight."""
    return min(cores(), MOST_WORKERS)


def cores() -> int:
    """Return the number of cores that this process may use: a container or taskset may have left it only some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(replay: str | None = None) -> dict[str, str]:
    """Return the environment for pytest: a fixed hash seed, and the kit on Python's search path.

    `replay` is the line that repeats the run, up to the number of a shard.
    """
    hashes = {**os.environ, "PYTHONHASHSEED": "0", **({LINE: replay} if replay else {})}
    if CHECKOUT is None:
        return hashes
    path = os.pathsep.join(filter(None, [str(CHECKOUT / "tools"), os.environ.get("PYTHONPATH")]))
    return {**hashes, "PYTHONPATH": path}
