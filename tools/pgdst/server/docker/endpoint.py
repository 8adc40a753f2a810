"""Which Docker daemon is asked, why that one, and where its published ports are reached."""

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.constants
import docker.context.config
import requests
import urllib3
from docker.context import ContextAPI
from docker.errors import DockerException
from docker.utils import kwargs_from_env

from pgdst.errors import ConfigurationError, DockerNotRunningError
from pgdst.project import is_the_checkouts_own

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
PING_SECONDS = 10
REQUEST_SECONDS = 30  # a loaded daemon takes its time to remove; a stuck one is given up
CURES = {
    errno.ENOENT: "start Docker (Docker Desktop, Colima, `systemctl start docker`) or point DOCKER_HOST at its socket",
    errno.ECONNREFUSED: "start Docker (Docker Desktop, Colima, `systemctl start docker`) or correct DOCKER_HOST",
    errno.EACCES: "add your user to the docker group and log in again, or point DOCKER_HOST at a socket of yours",
}
CAUSES = {errno.ENOENT: "no such file", errno.ECONNREFUSED: "connection refused", errno.EACCES: "permission denied"}


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
        chosen = _from_context(env.get("DOCKER_CONTEXT"))
    if chosen.url.startswith("ssh:"):
        raise ConfigurationError(
            f"Docker at {chosen.url} ({chosen.why}): ssh is not supported, as a database's life hangs on the "
            "connection. Forward the socket (ssh -NL ./docker.sock:/var/run/docker.sock HOST) and use "
            "DOCKER_HOST=unix://$PWD/docker.sock PUBLISHED_HOST=HOST."
        )
    return chosen


def _from_context(named: str | None) -> Endpoint:
    try:
        with _contexts_found():
            context = ContextAPI.get_context(named or None)
    except Exception as error:
        raise ConfigurationError(f"The docker context cannot be read: {error}.") from error
    if context is None:
        raise ConfigurationError(
            f"There is no docker context {named or 'as its configuration names it'}. "
            "Correct DOCKER_CONTEXT, or run: docker context use default"
        )
    if context.Name == "default":
        return Endpoint(DEFAULT_SOCKET, "the default socket: DOCKER_HOST and context unset", {})
    source = "DOCKER_CONTEXT" if named else "docker context use"
    with _contexts_found():
        arguments = ContextAPI.kwargs_from_context(name=context.Name)
    return Endpoint(arguments.get("base_url", DEFAULT_SOCKET), f"context {context.Name} ({source})", arguments)


def _configuration() -> Path:
    """Return the folder of the docker command's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _require_readable(file: Path) -> None:
    """Refuse what docker-py fails at; it takes what is no JSON at all for an empty configuration."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file} holds {type(found).__name__}, expected a JSON object. Correct or remove it.")


@contextmanager
def _contexts_found() -> Iterator[None]:
    """Let docker-py look where the docker command does: without a config.json it looks in the working directory."""
    original = docker.context.config.get_context_dir
    docker.context.config.get_context_dir = lambda: str(_configuration() / "contexts")
    try:
        yield
    finally:
        docker.context.config.get_context_dir = original


def connect(endpoint: Endpoint, answer_seconds: float = REQUEST_SECONDS) -> docker.DockerClient:
    """Return a client of the daemon, after it has answered. It gives each later request at most `answer_seconds`.

    Raises: DockerNotRunningError, with the endpoint, why it was chosen, the cause and the cures.
    """
    arguments = {"base_url": DEFAULT_SOCKET, **endpoint.arguments}
    ping_seconds = ceil(min(PING_SECONDS, answer_seconds))
    try:
        version = _api_version(endpoint, arguments, ping_seconds)
        client = docker.DockerClient(**arguments, version=version, timeout=ping_seconds)
    except (DockerException, OSError, ValueError) as error:
        cause = next((e for e in _chain(error) if isinstance(e, OSError) and e.errno in CAUSES), None)
        number = cause.errno if cause else None
        found = CAUSES.get(number or 0) or str(error)
        raise DockerNotRunningError(
            f"Docker is not running: no answer at {endpoint.url} ({endpoint.why}): {found}.\n"
            f"What to do: {CURES.get(number or 0, 'start Docker, or correct DOCKER_HOST')}; "
            f"or run without Docker: {'make test-dst ENGINE' if is_the_checkouts_own() else 'PGDST_ENGINE'}=embedded"
        ) from error
    client.api.timeout = ceil(answer_seconds)
    client.api.trust_env = not endpoint.is_local
    return client


def is_silence(error: BaseException) -> bool:
    """Tell whether docker-py raised the error because nothing came in time."""
    return any(isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError) for cause in _chain(error))


def _api_version(endpoint: Endpoint, arguments: Mapping[str, Any], ping_seconds: int) -> str | None:
    """Return the version of the API that the daemon speaks, or None where it does not say and docker-py has to ask.

    docker-py's way runs the daemon's programs for their versions, which takes it 20 times as long as a ping.
    """
    pinging = docker.APIClient(**arguments, version=docker.constants.DEFAULT_DOCKER_API_VERSION, timeout=ping_seconds)
    # As the docker command does: whatever HTTP_PROXY says, no proxy stands before this machine's own daemon.
    pinging.trust_env = not endpoint.is_local
    with closing(pinging):
        answer = pinging.get(f"{pinging.base_url}/_ping", timeout=ping_seconds)
        answer.raise_for_status()
        if answer.text.strip() != "OK":
            raise DockerException(f"no Docker daemon, it answers {answer.text.strip()[:40]!r} where one says 'OK'")
        return answer.headers.get("Api-Version")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything behind it: causes, contexts, and what urllib3 and requests carry as arguments."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop(0)
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            behind = (found.__cause__, found.__context__, getattr(found, "reason", None), *found.args)
            waiting.extend(e for e in behind if isinstance(e, BaseException))


def _is_loopback(host: str) -> bool:
    try:
        return socket.gethostbyname(host).startswith("127.")
    except OSError:
        return host in ("::1", "localhost")
