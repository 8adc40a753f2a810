"""The engines by name; one that is not asked for is not imported."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pgdst.server.address import Server
    from pgdst.server.engine import Engine

ENGINES: Final = ("docker", "embedded")


def make_engine(
    engine: str, image: str, offline_image: str, wait_seconds: float = 60, *, tcp: bool = False
) -> "Engine":
    """Return the engine of that name; each heeds the options that concern it.

    Docker has answered by then, and gets at most so many seconds for each request.

    Raises: DockerNotRunningError.
    """
    if engine == "embedded":
        from pgdst.server.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(tcp=tcp)
    from pgdst.server.docker.daemon import REQUEST_SECONDS
    from pgdst.server.docker.engine import DockerEngine

    return DockerEngine(image, offline_image, answer_seconds=min(REQUEST_SECONDS, wait_seconds))


def engine_of(server: "Server") -> "type[Engine]":
    """Return the engine that runs a server."""
    if server.engine == "embedded":
        from pgdst.server.embedded.engine import EmbeddedEngine

        return EmbeddedEngine
    from pgdst.server.docker.engine import DockerEngine

    return DockerEngine
