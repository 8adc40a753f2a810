"""The kit's containers on a daemon: found by their labels, told from those of others, removed."""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound

from pgdst.errors import ServerNotReadyError
from pgdst.server.lifetime.ownership import is_alive, owner, owner_in

KEPT_NAME: Final = "pgdst-kept-"
REMOVAL_SECONDS: Final = 15
POLL_SECONDS: Final = 0.02


class Containers:
    """The containers of a daemon that have all labels of the kit's; no other is ever touched."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api = api

    def find(self, **labels: str) -> list[dict[str, Any]]:
        """Return the containers with these labels, such as run="…", in any state, as the daemon lists them."""
        wanted = ["pgdst.run", *(f"pgdst.{name}={value}" for name, value in labels.items())]
        return [one for one in self._api.containers(all=True, filters={"label": wanted}) if _is_ours(one["Labels"])]

    def log(self, container: str, lines: int) -> list[str]:
        """Return the last lines of a container's log; none where it has just removed itself."""
        try:
            return self._api.logs(container, tail=lines).decode(errors="replace").splitlines() if lines else []
        except APIError:
            return []

    def is_strange(self, name: str) -> bool:
        """Tell whether a container of this name is not ours.

        A name is taken before its container can be seen, so one that can't be seen is being created.
        """
        try:
            return "pgdst.run" not in (self._api.inspect_container(name)["Config"]["Labels"] or {})
        except NotFound:
            return False

    def strangers(self) -> list[str]:
        """Return the names of containers that have some of our labels, or odd ones, and are left alone."""
        found = self._api.containers(all=True, filters={"label": "pgdst.run"})
        return [_name(one) for one in found if not _is_ours(one["Labels"])]

    def leftovers(self) -> list[str]:
        """Return the names of those whose run is dead."""
        return [_name(one) for one in self.find() if _is_leftover(one)]

    def sweep(self) -> list[str]:
        """Remove the leftovers, and return their names."""
        return [self.remove(one["Id"]) for one in self.find() if _is_leftover(one)]

    def remove_of_checkout(self, checkout: str) -> list[str]:
        """Remove a checkout's long-lived and kept databases, and what a snapshot's dead maker left; return names."""
        kept = [one for one in self.find(kind="run", checkout=checkout) if _name(one).startswith(KEPT_NAME)]
        dead = [one for one in self.find(kind="snapshot", checkout=checkout) if _is_leftover(one)]
        return [self.remove(one["Id"]) for one in (*self.find(kind="dev", checkout=checkout), *kept, *dead)]

    def remove_own(self, run_id: str) -> None:
        """Remove what this process has created for a run; another process may be starting the same one."""
        mine = json.dumps(owner())
        for one in self.find(run=run_id):
            if one["Labels"]["pgdst.owner"] == mine:
                self.remove(one["Id"])

    def remove(self, container: str) -> str:
        """Remove a container of ours with its anonymous volumes, and return its name once it is gone.

        Raises: ServerNotReadyError where it is still there after 15 s.
        """
        name = container[:12]
        deadline = time.monotonic() + REMOVAL_SECONDS
        while time.monotonic() < deadline:
            try:
                name = self._api.inspect_container(container)["Name"].lstrip("/")
                self._api.remove_container(container, force=True, v=True)
            except NotFound:
                return name
            except APIError:  # "removal is already in progress": its own auto-removal; ask again until it is gone
                time.sleep(POLL_SECONDS)
        raise ServerNotReadyError(
            f"Docker did not remove the container {name} within {REMOVAL_SECONDS} s. Run: docker rm -fv {name}"
        )


def _is_ours(labels: Mapping[str, str]) -> bool:
    """Tell whether a container has all labels of ours, as this kit writes them."""
    return {"pgdst.run", "pgdst.kind", "pgdst.checkout"} <= labels.keys() and bool(owner_in(labels.get("pgdst.owner")))


def _is_leftover(container: Mapping[str, Any]) -> bool:
    """Tell whether its run is dead. A running container ends by itself; another one does not once its maker is dead."""
    if container["State"] in ("running", "paused", "restarting", "removing"):
        return False
    return is_alive(owner_in(container["Labels"]["pgdst.owner"])) is False


def _name(container: Mapping[str, Any]) -> str:
    return str(container["Names"][0]).lstrip("/") if container["Names"] else ""
