"""Podman, whose socket speaks Docker's API: how to recognise it, and where it differs.

A tmpfs has no owner but `U`, the container's user. A commit heeds instructions, and not the configuration. A name that
is taken is an internal error. A container's standard input ends when any attached stream is closed, even one that only
reads. All seen with Podman 4.3.1.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from docker.errors import APIError

OWN_USER = ",U"  # an option of a tmpfs


def answers(info: Mapping[str, Any]) -> bool:
    """Tell whether what a daemon says of itself is Podman's: it names the version of its builder of images."""
    return "BuildahVersion" in info


def instructions(labels: Mapping[str, str], environment: list[str]) -> list[str]:
    """Return labels and environment as instructions of a Dockerfile, for a commit; values are taken literally."""
    return [*(f"LABEL {name}={value}" for name, value in labels.items()), *(f"ENV {entry}" for entry in environment)]


def is_name_taken(error: APIError) -> bool:
    """Tell whether a container was refused because another has its name, which Podman calls an internal error."""
    return error.status_code == HTTPStatus.CONFLICT or "is already in use by" in str(error)
