"""Postgres in a container, through the Docker API."""

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar, cast

import click
import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from pgdst.errors import AlreadyStartingError, ConfigurationError, DockerNotRunningError, ServerNotReadyError
from pgdst.server import image, psql, settings
from pgdst.server.address import DATABASE, USER, Server
from pgdst.server.container_watch import attached, watch
from pgdst.server.endpoint import Endpoint, choose, connect
from pgdst.server.engine import Order, TimeToLive, check, new_password, wait_until_ready
from pgdst.server.lease import Lease, hold, is_alive, owner, undisturbed, uninterrupted

PGDATA = "/var/lib/postgresql/data"
CREATING = "creating"  # a file in the run's directory while a container is being asked for
REMOVAL_SECONDS = 15
POLL_SECONDS = 0.02
STRAGGLER_SECONDS = 1  # a container that is being created when its creator is killed appears a little later

# The container's first process. It ends, and everything in the container with it, when Postgres ends or when WATCH
# does; Postgres is not stopped gently, as the data is thrown away. A shell that is process 1 only heeds a signal that
# it traps.
PROGRAM = """
trap 'exit 143' TERM
exec 3<&0
docker-entrypoint.sh "$@" </dev/null 3<&- &
server=$!
{ WATCH; kill -TERM $$; } &
wait "$server"
"""
WATCH_LEASE = "cat <&3 >/dev/null"  # end of file when the holder of the attached stream has gone
WATCH_CLOCK = "sleep {seconds}"


M = TypeVar("M", bound=Callable[..., Any])


def _named_failure(method: M) -> M:
    """Turn what docker-py raises when the daemon refuses or goes away into one error that names the endpoint."""

    @functools.wraps(method)
    def named(self: "DockerEngine", *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        except (DockerException, RequestException) as error:
            raise DockerNotRunningError(
                f"Docker at {self.endpoint.url} refused or stopped answering: {error}. See: make doctor"
            ) from error

    return cast(M, named)


class DockerEngine:
    """The Docker engine: containers are found by label, and only those with the kit's labels are ever touched."""

    def __init__(self, wanted: str = image.DEFAULT_IMAGE, offline: str = "auto", endpoint: Endpoint | None = None):
        self.endpoint = endpoint or choose()
        self.wanted = wanted
        self.offline = offline
        self.client = connect(self.endpoint)
        self.api = self.client.api

    @_named_failure
    def start(self, order: Order) -> Server:
        """Start a container and return once its Postgres answers SQL; on failure the container is removed."""
        check(order)
        self.sweep()
        try:
            try:
                container = self._create(order, self._image())
            except ImageNotFound:  # another checkout's `make clean` took it away at this very moment
                container = self._create(order, self._image())
            return self._run(order, container)
        except AlreadyStartingError:  # somebody else's, perhaps another thread's: nothing of it is ours to remove
            raise
        except BaseException:
            with undisturbed():
                self._remove_own(order)
            raise

    @_named_failure
    def find_dev(self, checkout: str) -> Server | None:
        """Return the running database of this checkout; it may still be starting."""
        for found in self._list(kind="dev", checkout=checkout):
            if found["State"] == "running":
                return self._server(self.api.inspect_container(found["Id"]))
        return None

    @_named_failure
    def remove_dev(self, checkout: str) -> list[str]:
        """Remove this checkout's databases, running or not."""
        return [self._remove(found["Id"]) for found in self._list(kind="dev", checkout=checkout)]

    @_named_failure
    def remove_run(self, lease: Lease, *, log_lines: int) -> list[str]:
        """Remove the run's container; wait a moment for one whose creation was interrupted."""
        deadline = time.monotonic() + (STRAGGLER_SECONDS if (lease.directory / CREATING).exists() else 0)
        found = self._list(run=lease.run_id)
        while not found and time.monotonic() < deadline:
            time.sleep(0.05)
            found = self._list(run=lease.run_id)
        lines = [line for one in found for line in self._log(one["Id"], log_lines)]
        for one in found:
            self._remove(one["Id"])
        if left := [name for one in self._list(run=lease.run_id) for name in one["Names"]]:
            raise ServerNotReadyError(f"Still there after removal: {', '.join(left)}. Remove with: make clean")
        return lines

    @_named_failure
    def shell(self, server: Server, arguments: list[str]) -> int:
        """Run psql inside the container that serves `server`."""
        found = self._list(run=server.run_id)
        if not found:
            raise ConfigurationError(f"No container serves the run {server.run_id}. Is it another ENGINE's?")
        container = found[0]["Id"]
        return psql.run_in_container(
            self.api, container, ["psql", "-U", server.user, "-d", server.database, *arguments]
        )

    @_named_failure
    def info(self) -> dict[str, Any]:
        """Return what the daemon says of itself."""
        return dict(self.client.info())

    @_named_failure
    def leftovers(self) -> list[str]:
        """Return the names of containers of ours whose run is dead: not running, and their maker is gone."""
        return [one["Names"][0].lstrip("/") for one in self._list() if self._is_leftover(one)]

    @_named_failure
    def sweep(self) -> list[str]:
        """Remove the leftovers; return their names."""
        return [self._remove(one["Id"]) for one in self._list() if self._is_leftover(one)]

    def _is_leftover(self, container: Mapping[str, Any]) -> bool:
        """A running container ends by itself; another one is a leftover once its maker is dead."""
        if container["State"] in ("running", "paused", "restarting", "removing"):
            return False
        try:
            return is_alive(json.loads(container["Labels"]["pgdst.owner"])) is False
        except (KeyError, ValueError, TypeError):
            return False

    def _image(self) -> str:
        chosen = image.ensure(self.client, self.wanted, self.offline)
        click.echo(f"Image {chosen.why}.", err=True)
        if self.endpoint.bind_address != "127.0.0.1":
            where = f"on all addresses of {self.endpoint.url}, reached at {self.endpoint.database_host}"
            click.echo(f"The database is published {where}.", err=True)
        return chosen.reference

    def _create(self, order: Order, reference: str) -> str:
        """Create the container and return its id; nothing of it runs yet."""
        name = f"pgdst-run-{order.run_id}" if order.kind == "run" else f"pgdst-{order.run_id}"
        with _marked(order):
            try:
                with uninterrupted():
                    return str(self._request(order, reference, name)["Id"])
            except ImageNotFound:
                raise
            except APIError as error:
                if error.status_code == HTTPStatus.CONFLICT and order.kind == "dev" and not self._is_strange(name):
                    raise AlreadyStartingError(f"The container {name} is there already. Run: make db-down") from error
                raise ServerNotReadyError(_refused("create", error)) from error

    def _is_strange(self, name: str) -> bool:
        """Tell whether a container of this name is not ours.

        A name is taken before its container can be seen: one that can't be seen is one that is being created.
        """
        try:
            return "pgdst.run" not in (self.api.inspect_container(name)["Config"]["Labels"] or {})
        except NotFound:
            return False

    def _request(self, order: Order, reference: str, name: str) -> dict[str, Any]:
        lifetime = order.lifetime
        watch = WATCH_CLOCK.format(seconds=lifetime.seconds) if isinstance(lifetime, TimeToLive) else WATCH_LEASE
        made: dict[str, Any] = self.api.create_container(
            reference,
            name=name,
            entrypoint=["sh", "-c", PROGRAM.replace("WATCH", watch), "pgdst"],
            command=["postgres", *settings.arguments(order.settings, order.run_id)],
            stdin_open=isinstance(lifetime, Lease),
            labels=_labels(order),
            environment={
                "POSTGRES_USER": USER,
                "POSTGRES_PASSWORD": new_password(),
                "POSTGRES_DB": DATABASE,
                "POSTGRES_INITDB_ARGS": " ".join((*settings.INITDB_ARGUMENTS, "--no-sync")),
                "PGDATA": PGDATA,
                "TZ": "UTC",  # or initdb compares this machine's time with every time zone, for two seconds
            },
            ports=[5432],
            host_config=self.api.create_host_config(
                auto_remove=True,
                port_bindings={5432: (self.endpoint.bind_address, None)},
                tmpfs=self._tmpfs(reference, order.disk_mib),
                log_config=docker.types.LogConfig(type="json-file", config={"max-size": "10m"}),
            ),
        )
        return made

    def _tmpfs(self, reference: str, disk_mib: int) -> dict[str, str]:
        """Lay a tmpfs over PGDATA and every VOLUME of the image: an anonymous volume would outlive a crashed daemon."""
        declared = self.client.images.get(reference).attrs["Config"].get("Volumes") or {}
        return dict.fromkeys({PGDATA, *declared}, f"rw,size={disk_mib}m")

    def _run(self, order: Order, container: str) -> Server:
        with watch(self.api, container) as watcher:
            try:
                if isinstance(order.lifetime, Lease):
                    # Attached before it is started: docker-py has set StdinOnce, so the end of this stream is the
                    # end of the container's standard input.
                    with attached(self.api, container, stdin=1) as stream:
                        hold(order.lifetime, stream.fileno())
                self.api.start(container)
                inspected = self.api.inspect_container(container)
            except APIError as error:
                died = watcher.cause_of_death() if isinstance(error, NotFound) else None
                raise ServerNotReadyError(died or _refused("start", error)) from error
            server = self._server(inspected)
            wait_until_ready(server, order, watcher.cause_of_death)
        return server

    def _server(self, inspected: Mapping[str, Any]) -> Server:
        published = (inspected["NetworkSettings"]["Ports"] or {}).get("5432/tcp")
        environment = dict(entry.split("=", 1) for entry in inspected["Config"]["Env"])
        return Server(
            run_id=inspected["Config"]["Labels"]["pgdst.run"],
            host=self.endpoint.database_host,
            port=int(published[0]["HostPort"]) if published else 0,
            password=environment["POSTGRES_PASSWORD"],
        )

    def _list(self, **labels: str) -> list[dict[str, Any]]:
        """Return the containers with all these labels of ours, in any state."""
        wanted = ["pgdst.run", *(f"pgdst.{name}={value}" for name, value in labels.items())]
        return list(self.api.containers(all=True, filters={"label": wanted}))

    def _log(self, container: str, lines: int) -> list[str]:
        try:
            return self.api.logs(container, tail=lines).decode(errors="replace").splitlines() if lines else []
        except APIError:  # it has just removed itself, and its log with it
            return []

    def _remove_own(self, order: Order) -> None:
        """Remove what this process has created for the order; another process may be starting the same one."""
        mine = json.dumps(owner())
        for one in self._list(run=order.run_id):
            if one["Labels"]["pgdst.owner"] == mine:
                self._remove(one["Id"])

    def _remove(self, container: str) -> str:
        """Remove a container of ours with its anonymous volumes, and return its name once it is gone.

        Raises: ServerNotReadyError where it is still there after 15 s.
        """
        name = container[:12]
        deadline = time.monotonic() + REMOVAL_SECONDS
        while time.monotonic() < deadline:
            try:
                name = self.api.inspect_container(container)["Name"].lstrip("/")
                self.api.remove_container(container, force=True, v=True)
            except NotFound:
                return name
            except APIError:  # "removal is already in progress": its own auto-removal; ask again until it is gone
                time.sleep(POLL_SECONDS)
        raise ServerNotReadyError(f"Docker did not remove the container {name} within {REMOVAL_SECONDS} s.")


@contextmanager
def _marked(order: Order) -> Iterator[None]:
    """Leave a mark while Docker is asked: it finishes creating even when the one who asked was killed meanwhile."""
    if not isinstance(order.lifetime, Lease):
        yield
        return
    mark = order.lifetime.directory / CREATING
    mark.touch()
    try:
        yield
    except APIError:  # a refusal is an answer; an interruption is none, and leaves the mark
        mark.unlink()
        raise
    mark.unlink()


def _labels(order: Order) -> dict[str, str]:
    labels = {
        "pgdst.run": order.run_id,
        "pgdst.kind": order.kind,
        "pgdst.checkout": order.checkout,
        "pgdst.owner": json.dumps(owner()),
    }
    if isinstance(order.lifetime, TimeToLive):
        labels["pgdst.expires"] = str(int(time.time()) + order.lifetime.seconds)
    return labels


def _refused(what: str, error: APIError) -> str:
    return f"Docker could not {what} the container: {error.explanation or error}. See: make doctor"
