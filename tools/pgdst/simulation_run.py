"""How pytest is called for a simulation."""

import os
import sys
from collections.abc import Sequence

from pgdst.errors import ConfigurationError
from pgdst.project import KIT, Project


def command(
    project: Project, seed: int, profile: str | None, examples: int | None, arguments: Sequence[str]
) -> list[str]:
    """Return the command that runs the simulation from the backend's folder.

    Raises: ConfigurationError where the simulation's folder does not exist.
    """
    if not project.simulation.exists():
        raise ConfigurationError(
            f"There is no simulation at {project.simulation}. "
            "Correct `simulation` in [tool.pgdst] of pyproject.toml, or use --simulation."
        )
    chosen = [f"--pgdst-seed={seed}"]
    chosen += [f"--pgdst-profile={profile}"] if profile else []
    chosen += [f"--pgdst-examples={examples}"] if examples else []
    pytest = [sys.executable, "-m", "pytest", str(project.simulation), "-x", "--tb=short", "-p", "pgdst.pytest_plugin"]
    return [*pytest, *chosen, *arguments]


def environment() -> dict[str, str]:
    """Return our environment, in which Python hashes alike in every process and finds the kit."""
    path = os.pathsep.join(filter(None, [str(KIT / "tools"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}
