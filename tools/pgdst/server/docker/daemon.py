"""Connecting to the daemon at an endpoint; telling a silent daemon from one that refuses."""

import errno
from collections.abc import Iterator
from contextlib import closing
from math import ceil
from typing import Final

import docker
import docker.constants
import requests
import urllib3
from docker.errors import DockerException

from pgdst.errors import DockerNotRunningError
from pgdst.project import is_the_checkouts_own
from pgdst.server.docker.endpoint import Endpoint

PING_SECONDS: Final = 10
REQUEST_SECONDS: Final = 30  # a loaded daemon takes its time to remove; a stuck one is given up
_CURES: Final = {
    errno.ENOENT: "start Docker (Docker Desktop, Colima, `systemctl start docker`) or point DOCKER_HOST at its socket",
    errno.ECONNREFUSED: "start Docker (Docker Desktop, Colima, `systemctl start docker`) or correct DOCKER_HOST",
    errno.EACCES: "add your user to the docker group and log in again, or point DOCKER_HOST at a socket of yours",
}
_CAUSES: Final = {
    errno.ENOENT: "no such file",
    errno.ECONNREFUSED: "connection refused",
    errno.EACCES: "permission denied",
}


def connect(endpoint: Endpoint, answer_seconds: float = REQUEST_SECONDS) -> docker.DockerClient:
    """Return a client of the daemon, after it has answered. It gives each later request at most `answer_seconds`.

    Raises: DockerNotRunningError, with the endpoint, why it was chosen, the cause and the cures.
    """
    ping_seconds = ceil(min(PING_SECONDS, answer_seconds))
    try:
        version = _api_version(endpoint, ping_seconds)
        client = docker.DockerClient(**endpoint.arguments, version=version, timeout=ping_seconds)
    except (DockerException, OSError, ValueError) as error:
        cause = next((e for e in _chain(error) if isinstance(e, OSError) and e.errno in _CAUSES), None)
        number = cause.errno if cause else None
        found = _CAUSES.get(number or 0) or str(error)
        raise DockerNotRunningError(
            f"Docker is not running: no answer at {endpoint.url} ({endpoint.why}): {found}.\n"
            f"What to do: {_CURES.get(number or 0, 'start Docker, or correct DOCKER_HOST')}; "
            f"or run without Docker: {'make test-dst ENGINE' if is_the_checkouts_own() else 'PGDST_ENGINE'}=embedded"
        ) from error
    client.api.timeout = ceil(answer_seconds)
    client.api.trust_env = not endpoint.is_local
    return client


def is_silence(error: BaseException) -> bool:
    """Tell whether docker-py raised the error because nothing came in time."""
    return any(isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError) for cause in _chain(error))


def _api_version(endpoint: Endpoint, ping_seconds: int) -> str | None:
    """Return the version of the API that the daemon speaks, or None where it does not say and docker-py has to ask.

    docker-py asks for /version, for which the daemon runs its programs: that takes 20 times as long as a ping.
    """
    pinging = docker.APIClient(
        **endpoint.arguments, version=docker.constants.DEFAULT_DOCKER_API_VERSION, timeout=ping_seconds
    )
    # As the docker command does: whatever HTTP_PROXY says, no proxy stands before this machine's own daemon.
    pinging.trust_env = not endpoint.is_local
    with closing(pinging):
        answer = pinging.get(f"{pinging.base_url}/_ping", timeout=ping_seconds)
        answer.raise_for_status()
        if answer.text.strip() != "OK":
            raise DockerException(f"no Docker daemon, it answers {answer.text.strip()[:40]!r} where one says 'OK'")
        return answer.headers.get("Api-Version")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and those behind it: causes, contexts, and the arguments of urllib3's and requests' errors."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop(0)
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            behind = (found.__cause__, found.__context__, getattr(found, "reason", None), *found.args)
            waiting.extend(e for e in behind if isinstance(e, BaseException))
