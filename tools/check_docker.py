#!/usr/bin/env python3
"""Verify that a Docker daemon answers, and say which one and why that one.

Exit status: 0 it answers; 1 it does not, or the context is wrong; 2 wrong usage.
Example: .venv/bin/python tools/check_docker.py
"""

from pgdst.cli import say, script
from pgdst.server.endpoint import choose, connect


@script
def main() -> None:
    """Verify that Docker answers at DOCKER_HOST, the current context or the default socket.

    Example: check_docker.py && echo ready
    """
    endpoint = choose()
    version = connect(endpoint).version()
    say(f"Docker {version['Version']} answers at {endpoint.url} ({endpoint.why}).")


if __name__ == "__main__":
    main()
