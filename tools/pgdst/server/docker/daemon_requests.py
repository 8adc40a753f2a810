"""The two requests that have the daemon ask a registry, sent with a deadline.

docker-py's `pull` waits forever (`timeout=None`) and its `inspect_distribution` as long as its client would for
anything, so a registry that accepts a connection and never answers would hang a run.
"""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

import docker
import requests
import urllib3
from docker import auth
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from pgdst.errors import ImageError

Event = dict[str, Any]
Sent = TypeVar("Sent")


class SilenceError(ImageError):
    """The daemon sent nothing within the time limit."""


def pull(client: docker.DockerClient, name: str, silence_seconds: float) -> Iterator[Event]:
    """Pull the image, yielding the daemon's events as they come; leaving the loop early cancels the pull.

    Raises: SilenceError after silence_seconds without an event, ImageError with the daemon's own words.
    """
    repository, tag = parse_repository_tag(name)
    url = f"{_address(client)}/images/create"
    parameters = {"fromImage": repository, "tag": tag or "latest"}  # the tag may be a digest
    headers = _credentials(client, repository)
    with _asked(client, "POST", url, silence_seconds, params=parameters, headers=headers) as response:
        for line in _within(silence_seconds, response.iter_lines()):
            event = json.loads(line) if line.strip() else {}
            if "error" in event:
                raise ImageError(event["error"].strip())
            yield event


def inspect_distribution(client: docker.DockerClient, name: str, silence_seconds: float) -> Event:
    """Return what the registry says of the image `name`: its descriptor and its platforms.

    Raises: SilenceError after silence_seconds without an answer, ImageError with the daemon's own words.
    """
    url = f"{_address(client)}/distribution/{name}/json"
    with _asked(client, "GET", url, silence_seconds, headers=_credentials(client, name)) as response:
        content: Event = json.loads(b"".join(_within(silence_seconds, response.iter_content(4096))))
        return content


def _address(client: docker.DockerClient) -> str:
    return f"{client.api.base_url}/v{client.api.api_version}"


def _credentials(client: docker.DockerClient, repository: str) -> dict[str, str | bytes]:
    """Return the header with the credentials that `docker login` left for the repository's registry, if any.

    Raises: ImageError for a name no registry can have, and for a credential helper that fails.
    """
    try:
        registry, _ = auth.resolve_repository_name(repository)
        header = auth.get_config_header(client.api, registry)
    except DockerException as error:
        raise ImageError(str(error)) from error
    return {"X-Registry-Auth": header} if header else {}


def _asked(
    client: docker.DockerClient, method: str, url: str, silence_seconds: float, **request: Any
) -> requests.Response:
    """Return the daemon's answer once its headers are in. Raises: SilenceError, ImageError."""
    try:
        response = client.api.request(method, url, timeout=silence_seconds, stream=True, **request)
    except requests.Timeout as error:
        raise SilenceError(f"no answer in {silence_seconds:g} s") from error
    except requests.RequestException as error:
        raise ImageError(f"the Docker daemon hung up ({error})") from error
    if not response.ok:
        raise ImageError(_words_of(response))
    return response


def _words_of(refusal: requests.Response) -> str:
    try:
        return str(refusal.json()["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return f"the Docker daemon answered {refusal.status_code} {refusal.reason}"


def _within(silence_seconds: float, chunks: Iterator[Sent]) -> Iterator[Sent]:
    """Yield the chunks. Raises: SilenceError when none came in time, ImageError when the daemon hung up."""
    try:
        yield from chunks
    except requests.RequestException as error:
        # requests reports a timeout in the middle of a body as a ConnectionError around urllib3's.
        if any(isinstance(cause, urllib3.exceptions.ReadTimeoutError) for cause in error.args):
            raise SilenceError(f"nothing more in {silence_seconds:g} s") from error
        raise ImageError(f"the Docker daemon hung up ({error})") from error
