"""Check that a Docker daemon answers, and say which one, and why that one."""

from pgdst.cli import say, script
from pgdst.server.docker.daemon import connect
from pgdst.server.docker.endpoint import choose


@script
def main() -> None:
    """Check that Docker answers at DOCKER_HOST, the current context or the default socket.

    Example: {check-docker} && echo ready
    """
    endpoint = choose()
    version = connect(endpoint).version()
    say(f"Docker {version['Version']} answers at {endpoint.url} ({endpoint.why}).")
