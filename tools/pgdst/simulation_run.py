"""How pytest is called for a simulation."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from pgdst.errors import ConfigurationError
from pgdst.project import KIT, Project
from pgdst.server import address

FAULTS: Final = ("off", "some", "all")  # the mixes of pgdst.simulation.faults, which takes time to import


def command(
    project: Project,
    seed: int,
    profile: str | None,
    examples: int | None,
    arguments: Sequence[str],
    workers: int = 1,
    faults: str | None = None,
) -> list[str]:
    """Return the command that runs the simulation from the backend's folder, in so many processes at once.

    Raises: ConfigurationError where the simulation's folder does not exist, or pytest-xdist does not, or where workers
    would be struck by each other's faults.
    """
    if workers > 1 and faults == "all":
        raise ConfigurationError(
            f"With FAULTS=all a fault may strike the whole server, which {workers} workers would share. "
            "Use WORKERS=1, or FAULTS=some."
        )
    if workers > 1 and find_spec("xdist") is None:
        raise ConfigurationError(
            f"{workers} workers need pytest-xdist, which {sys.executable} does not have. Install it, or use WORKERS=1."
        )
    if not project.simulation.exists():
        raise ConfigurationError(
            f"There is no simulation at {project.simulation}. "
            "Correct `simulation` in [tool.pgdst] of pyproject.toml, or use --simulation."
        )
    chosen = [f"--pgdst-seed={seed}"]
    chosen += [f"--pgdst-profile={profile}"] if profile else []
    chosen += [f"--pgdst-examples={examples}"] if examples else []
    chosen += [f"--pgdst-faults={faults}"] if faults else []
    chosen += [f"--pgdst-workers={workers}", f"--numprocesses={workers}"] if workers > 1 else []
    pytest = [sys.executable, "-m", "pytest", str(project.simulation), "-x", "--tb=short", "-p", "pgdst.pytest_plugin"]
    return [*pytest, *chosen, *arguments]


def check_connections(workers: int) -> None:
    """Return only if the run's server, where there is one already, allows connections enough for the workers.

    Raises: ConfigurationError, once and before any worker starts.
    """
    running = address.from_environment(os.environ)
    if running is None or workers == 1:
        return
    from pgdst.database.budget import require_connections  # the driver takes time to import, and one worker needs none

    with running.connect() as connection:
        require_connections(connection, workers)


def environment() -> dict[str, str]:
    """Return our environment, in which Python hashes alike in every process and finds the kit."""
    path = os.pathsep.join(filter(None, [str(KIT / "tools"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}
