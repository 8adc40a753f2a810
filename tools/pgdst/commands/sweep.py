"""Remove the leftovers of dead runs: containers by label, run directories, and unused images of the kit."""

from pgdst import project
from pgdst.cli import say, script
from pgdst.errors import ConfigurationError, DockerNotRunningError


@script
def main() -> None:
    """Remove the leftovers of dead runs, on this host and in this daemon, and the kit's cached images.

    Example: {sweep}
    """
    from pgdst.server.docker import engine as docker
    from pgdst.server.docker import image
    from pgdst.server.embedded import engine as embedded
    from pgdst.server.embedded import snapshot_folder
    from pgdst.server.lifetime.keeping import kept

    checkout = project.load().checkout
    if embedded.EmbeddedEngine().find_dev(checkout) or kept(checkout):
        down = project.call_of("db-down")
        raise ConfigurationError(f"The embedded database of this checkout is up, and runs from .venv. Run: {down}")
    removed = embedded.sweep() + snapshot_folder.clear()
    try:
        engine = docker.DockerEngine()
        removed += engine.sweep() + image.remove_unused(engine.client)
    except (DockerNotRunningError, ConfigurationError) as error:
        say(f"Docker's containers and images were not looked at. {error}")
    say("\n".join(f"Removed {name}." for name in removed) or "No leftovers.")
