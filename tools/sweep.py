#!/usr/bin/env python3
"""Remove what dead runs have left: containers by label, run directories, and images of the kit that nobody uses.

Exit status: 0 nothing is left; 1 something could not be removed; 2 wrong usage.
Example: .venv/bin/python tools/sweep.py
"""

from pgdst import project
from pgdst.cli import say, script
from pgdst.errors import ConfigurationError, DockerNotRunningError


@script
def main() -> None:
    """Remove the leftovers of dead runs, on this host and in this daemon, and the kit's cached images.

    Example: sweep.py
    """
    from pgdst.server import docker, embedded, image, lease, snapshot_folder

    checkout = project.load().checkout
    if embedded.EmbeddedEngine().find_dev(checkout) or lease.kept(checkout):
        raise ConfigurationError("The embedded database of this checkout is up, and runs from .venv. Run: make db-down")
    removed = embedded.sweep() + snapshot_folder.clear()
    try:
        engine = docker.DockerEngine()
        removed += engine.sweep() + image.remove_unused(engine.client)
    except (DockerNotRunningError, ConfigurationError) as error:
        say(f"Docker's containers and images were not looked at. {error}")
    say("\n".join(f"Removed {name}." for name in removed) or "No leftovers.")


if __name__ == "__main__":
    main()
