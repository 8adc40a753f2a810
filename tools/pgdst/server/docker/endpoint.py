"""Which Docker daemon is asked, why that one, and where its published ports are reached."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker.context.config
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from pgdst.errors import ConfigurationError


@dataclass(frozen=True)
class Endpoint:
    """The address of a daemon, why it was chosen, and what docker-py needs to reach it."""

    url: str
    why: str
    arguments: Mapping[str, Any] = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the daemon runs on this host, as far as its address tells."""
        parts = urlsplit(self.url)
        return parts.scheme in ("unix", "npipe", "http+unix") or _is_loopback(parts.hostname or "")

    @property
    def database_host(self) -> str:
        """The host under which ports that this daemon publishes are reached from here."""
        remote = None if self.is_local else urlsplit(self.url).hostname
        return os.environ.get("PGDST_PUBLISHED_HOST") or remote or "127.0.0.1"

    @property
    def bind_address(self) -> str:
        """The address that the daemon publishes on: loopback, or all of them where only those are reachable.

        Source: moby issue 42442, on IPv4 and IPv6 ports that differ: loopback is bound by its IPv4 address.
        """
        return "127.0.0.1" if _is_loopback(self.database_host) else "0.0.0.0"  # noqa: S104  # the password is random


def choose(environment: Mapping[str, str] | None = None) -> Endpoint:
    """Return the endpoint that the docker command line would use: DOCKER_HOST, else the context, else the socket.

    Raises: ConfigurationError where the context does not exist or the transport is not supported.
    """
    env = dict(os.environ if environment is None else environment)
    _require_readable(_configuration() / "config.json")
    try:
        from_env = kwargs_from_env(env)
    except DockerException as error:
        raise ConfigurationError(
            f"DOCKER_TLS_VERIFY or DOCKER_CERT_PATH is wrong ({error}). Correct or unset them."
        ) from error
    if "base_url" in from_env:
        chosen = Endpoint(from_env["base_url"], "DOCKER_HOST is set", from_env)
    else:
        chosen = _of_context(env.get("DOCKER_CONTEXT"))
    if chosen.url.startswith("ssh:"):
        raise ConfigurationError(
            f"Docker at {chosen.url} ({chosen.why}): ssh is not supported, as a database's life hangs on the "
            "connection. Forward the socket (ssh -NL ./docker.sock:/var/run/docker.sock HOST) and use "
            "DOCKER_HOST=unix://$PWD/docker.sock PUBLISHED_HOST=HOST."
        )
    return chosen


def _of_context(named: str | None) -> Endpoint:
    """Return the endpoint of a context, or of the current one. docker-py takes an unknown one for the default."""
    try:
        with _contexts_beside_the_configuration():
            context = ContextAPI.get_context(named or None)
            arguments = ContextAPI.kwargs_from_context(name=context.Name) if context else {}
    except Exception as error:
        raise ConfigurationError(f"The docker context cannot be read: {error}.") from error
    if not arguments:
        raise ConfigurationError(
            f"There is no docker context {named or 'as its configuration names it'}. "
            "Correct DOCKER_CONTEXT, or run: docker context use default"
        )
    if context.Name == "default":
        return Endpoint(arguments["base_url"], "the default socket: DOCKER_HOST and context unset", arguments)
    source = "DOCKER_CONTEXT" if named else "docker context use"
    return Endpoint(arguments["base_url"], f"context {context.Name} ({source})", arguments)


def _configuration() -> Path:
    """Return the folder of the docker command's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _require_readable(file: Path) -> None:
    """Refuse a configuration at which docker-py fails with AttributeError; it takes a broken one for an empty one."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file} holds {type(found).__name__}, expected a JSON object. Correct or remove it.")


@contextmanager
def _contexts_beside_the_configuration() -> Iterator[None]:
    """Let docker-py look for contexts where the docker command does: without a config.json it looks in the cwd."""
    original = docker.context.config.get_context_dir
    docker.context.config.get_context_dir = lambda: str(_configuration() / "contexts")
    try:
        yield
    finally:
        docker.context.config.get_context_dir = original


def _is_loopback(host: str) -> bool:
    try:
        return socket.gethostbyname(host).startswith("127.")
    except OSError:
        return host in ("::1", "localhost")
