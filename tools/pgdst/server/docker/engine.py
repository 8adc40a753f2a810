"""Postgres in a container, through the Docker API."""

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar, TypeVar, cast

import click
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from pgdst.errors import (
    AlreadyStartingError,
    DockerNotRunningError,
    ServerNotReadyError,
    SilentDaemonError,
)
from pgdst.project import call_of
from pgdst.server import extensions
from pgdst.server.address import Server
from pgdst.server.deadline import Deadline
from pgdst.server.docker import image, network, podman, snapshot_image
from pgdst.server.docker.container import FULL_DISK, KEEP, Source, create, name_of
from pgdst.server.docker.container_watch import attached, watch
from pgdst.server.docker.containers import KEPT_NAME, Containers
from pgdst.server.docker.conversation import conversation
from pgdst.server.docker.daemon import REQUEST_SECONDS, connect, is_silence
from pgdst.server.docker.endpoint import Endpoint, choose
from pgdst.server.docker.streams import execute
from pgdst.server.engine import RETRY_SECONDS, log_shown, migrated
from pgdst.server.lifetime.lease import Lease, hold
from pgdst.server.lifetime.signals import undisturbed, uninterrupted
from pgdst.server.lifetime.sweeping import sweep_directories
from pgdst.server.readiness import wait_until_ready
from pgdst.server.snapshot import filled, maker
from pgdst.server.spec import Recipe, ServerSpec
from pgdst.timings import stage

CREATING = "creating"  # a file in the run's directory while a container is being asked for
KEEP_SECONDS = 10
LAST_WORD_SECONDS = 2  # for a request of a start whose deadline has passed, and of one that the daemon left unanswered
STRAGGLER_SECONDS = 1  # a container that is being created when its creator is killed appears a little later

M = TypeVar("M", bound=Callable[..., Any])


def _named_failure(method: M) -> M:
    """Turn docker-py's errors, when the daemon refuses or goes away, into one that names the endpoint."""

    @functools.wraps(method)
    def named(self: "DockerEngine", *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        except (DockerException, RequestException) as error:
            if is_silence(error):
                raise self.silence(f"within {self.api.timeout:g} s") from error
            raise DockerNotRunningError(
                f"Docker at {self.endpoint.url} refused or stopped answering: {error}. See: {call_of('doctor')}"
            ) from error

    return cast(M, named)


class DockerEngine:
    """The Docker engine: containers are found by label, and only those with the kit's labels are ever touched."""

    full_file: ClassVar[str] = f"{FULL_DISK}/file"

    def __init__(
        self,
        wanted: str = image.DEFAULT_IMAGE,
        offline: str = "auto",
        endpoint: Endpoint | None = None,
        answer_seconds: float = REQUEST_SECONDS,
    ):
        self.endpoint = endpoint or choose()
        self.wanted = wanted
        self.offline = offline
        self.client = connect(self.endpoint, answer_seconds)
        self.api = self.client.api
        self.containers = Containers(self.api)
        self._said: set[str] = set()
        self._is_silent = False

    @_named_failure
    def start(self, spec: ServerSpec) -> Server:
        """Start a container and return once its Postgres answers SQL and is migrated; else the container is removed."""
        spec = spec.begun()
        try:
            source = self._source(spec)
            with self._port() as port:
                try:
                    container = self._create(spec, source, port)
                except ImageNotFound:  # somebody's `make clean`, or a newer snapshot, took it away at this very moment
                    source = self._source(spec)
                    container = self._create(spec, source, port)
                server = self._run(spec, container, source)
            with self._log_shown(container):
                return migrated(server, spec)
        except AlreadyStartingError:  # somebody else's, perhaps another thread's: nothing of it is ours to remove
            raise
        except BaseException:
            self._remove_own(spec)
            raise

    @_named_failure
    def find_dev(self, checkout: str) -> Server | None:
        """Return the running database of this checkout; it may still be starting."""
        for found in self.containers.find(kind="dev", checkout=checkout):
            if found["State"] == "running":
                return self._server(self.api.inspect_container(found["Id"]))
        return None

    @_named_failure
    def remove_dev(self, checkout: str) -> list[str]:
        """Remove this checkout's databases, running or not, kept ones too, and what a snapshot's dead maker left."""
        return self.containers.remove_of_checkout(checkout)

    @_named_failure
    def remove_run(self, lease: Lease, *, log_lines: int) -> list[str]:
        """Remove the run's container; wait a moment for one whose creation was interrupted."""
        deadline = time.monotonic() + (STRAGGLER_SECONDS if (lease.directory / CREATING).exists() else 0)
        found = self.containers.find(run=lease.run_id)
        while not found and time.monotonic() < deadline:
            time.sleep(0.05)
            found = self.containers.find(run=lease.run_id)
        lines = [line for one in found for line in self.containers.log(one["Id"], log_lines)]
        for one in found:
            self.containers.remove(one["Id"])
        if left := [name for one in self.containers.find(run=lease.run_id) for name in one["Names"]]:
            raise ServerNotReadyError(f"Still there after removal: {', '.join(left)}. Remove with: {call_of('sweep')}")
        return lines

    @_named_failure
    def keep_run(self, lease: Lease, checkout: str, seconds: int) -> str:  # noqa: ARG002  it is on its label
        """Tell the run's container to wait after its lease has ended, and rename it, which marks it as kept."""
        name = f"{KEPT_NAME}{lease.run_id}"
        for one in self.containers.find(run=lease.run_id):
            code, talk = execute(self.api, one["Id"], ["sh", "-c", f"echo {seconds} >{KEEP}"], Deadline(KEEP_SECONDS))
            if code != 0:
                raise ServerNotReadyError(f"The server could not be kept: exit code {code}: {talk}")
            self.api.rename(one["Id"], name)
            return name
        raise ServerNotReadyError("The server could not be kept: it has ended.")

    @staticmethod
    def conversation(server: Server, program: str) -> AbstractContextManager[Callable[[bytes], bytes]]:
        """Run a program of sh in the server's container, and talk to it."""
        return conversation(server, program)

    @_named_failure
    def info(self) -> dict[str, Any]:
        """Return what the daemon says of itself."""
        return dict(self.client.info())

    @functools.cached_property
    def _is_podman(self) -> bool:
        return podman.answers(self._info)

    @functools.cached_property
    def _info(self) -> dict[str, Any]:
        return self.info()

    @_named_failure
    def snapshots(self) -> list[str]:
        """Return a line for each cached snapshot."""
        return snapshot_image.listed(self.client)

    @_named_failure
    def strangers(self) -> list[str]:
        """Return the names of containers that have some of our labels, or odd ones, and are left alone."""
        return self.containers.strangers()

    @_named_failure
    def leftovers(self) -> list[str]:
        """Return the names of containers of ours whose run is dead."""
        return self.containers.leftovers()

    @_named_failure
    def sweep(self) -> list[str]:
        """Remove the leftovers, and the directories of dead runs of this engine; return their names."""
        return [*self.containers.sweep(), *sweep_directories()]

    def _source(self, spec: ServerSpec) -> Source:
        """Return the snapshot of the recipe, made now where there is none; the plain image where no snapshot is wanted.

        One that is being made by somebody else at this moment is waited for.
        """
        if spec.recipe is None or not spec.snapshot:
            return self._plain(self._image(spec))
        while True:
            with self._within(spec, "look for a snapshot"):
                found = snapshot_image.find(self.client, spec.recipe, self.wanted, self.offline)
            try:
                # One that was made now is used even if a file was changed meanwhile; it is not found again.
                found = found or self._make_snapshot(spec, spec.recipe)
            except AlreadyStartingError:
                if spec.end.has_passed:
                    raise
                self._say("Waiting for the snapshot that another run is making.")
                self.sweep()  # its maker may have been killed before it ran
                time.sleep(RETRY_SECONDS)
                continue
            self._say(f"Snapshot {found.name}, made from {found.base_name}.")
            self._say_what_differs(found.base_name)
            return Source(found.reference, found.volumes, found.manifest, found.password, found.user)

    def _image(self, spec: ServerSpec) -> image.Image:
        with self._within(spec, "image"), spec.end.paused():  # a pull goes on as long as something comes
            chosen = image.ensure(self.client, self.wanted, self.offline)
        self._say(f"Image {chosen.why}.")
        self._say_what_differs(chosen.name)
        return chosen

    def _say_what_differs(self, image_name: str) -> None:
        if image_name == image.OFFLINE_IMAGE:
            self._say(extensions.differences())

    def _say(self, line: str) -> None:
        """Print a line of talk once: a start may be attempted again and again."""
        if line not in self._said:
            self._said.add(line)
            click.echo(line, err=True)

    def _plain(self, chosen: image.Image) -> Source:
        declared = self.client.images.get(chosen.reference).attrs["Config"].get("Volumes") or {}
        return Source(chosen.reference, tuple(declared))

    def _make_snapshot(self, wanted: ServerSpec, recipe: Recipe) -> snapshot_image.Found:
        """Make the snapshot in a container of its own."""
        base = self._image(wanted)
        with maker(wanted) as spec:
            try:
                with self._within(spec, "make a snapshot"):
                    return self._fill_and_commit(spec, recipe, base)
            finally:
                self._remove_own(spec)

    def _fill_and_commit(self, spec: ServerSpec, recipe: Recipe, base: image.Image) -> snapshot_image.Found:
        source = self._plain(base)
        with self._port() as port:
            container = self._create(spec, source, port)
            server = self._run(spec, container, source)
        with self._log_shown(container), spec.end.paused():
            manifest, password = filled(recipe, server)
        made = snapshot_image.Content(password, manifest, source.volumes)
        key = recipe.key_on(self.wanted)
        with self._within(spec, "commit the snapshot"):
            return snapshot_image.commit(
                self.client, container, key, base, spec.checkout, made, spec.end, podman=self._is_podman
            )

    def _log_shown(self, container: str) -> AbstractContextManager[None]:
        return log_shown(lambda lines: self.containers.log(container, lines))

    def silence(self, what: str) -> SilentDaemonError:
        """Return the error of a daemon that no longer answers; from now on requests to it have a short timeout."""
        self._is_silent = True
        self.api.timeout = LAST_WORD_SECONDS
        return SilentDaemonError(f"Docker at {self.endpoint.url} did not answer {what}. See: {call_of('doctor')}")

    @contextmanager
    def _within(self, spec: ServerSpec, what: str) -> Iterator[None]:
        """Time a stage of a start; no request in it may wait beyond the deadline. Raises: SilentDaemonError."""
        deadline = spec.end
        self.api.timeout = max(ceil(deadline.left()), LAST_WORD_SECONDS)
        with stage(what):
            try:
                yield
            except (RequestException, DockerException) as error:
                if not is_silence(error):
                    raise
                said = f"within the {deadline.seconds:g} s of --wait-seconds; this was waited for: {what}"
                raise self.silence(said) from error

    @contextmanager
    def _port(self) -> Iterator[int | None]:
        """Yield a port of this machine that the server may have, or None where Docker has to publish one."""
        if not network.is_shared(self.endpoint, self._info):
            yield None
            return
        with network.reserved_port() as port:
            yield port

    def _create(self, spec: ServerSpec, source: Source, port: int | None) -> str:
        """Create the container and return its id; nothing of it runs yet."""
        name = name_of(spec)
        threading.Thread(target=_import_driver, daemon=True).start()
        with _marked(spec), self._within(spec, "create"):
            try:
                with uninterrupted():
                    return create(self.api, spec, source, self.endpoint.bind_address, port, podman=self._is_podman)
            except ImageNotFound:
                raise
            except APIError as error:
                if podman.is_name_taken(error) and spec.kind != "run" and not self.containers.is_strange(name):
                    cure = call_of("sweep" if spec.makes_snapshot else "db-down")
                    raise AlreadyStartingError(f"The container {name} is there already. Run: {cure}") from error
                raise ServerNotReadyError(_refused("create", error)) from error

    def _run(self, spec: ServerSpec, container: str, source: Source) -> Server:
        with watch(self.api, container) as watcher:
            try:
                if isinstance(spec.lifetime, Lease):
                    # Attached before it is started: docker-py has set StdinOnce, so the end of this stream is the
                    # end of the container's standard input.
                    with attached(self.api, container, stdin=1) as stream:
                        hold(spec.lifetime, stream.fileno())
                with self._within(spec, "start"):
                    self.api.start(container)
                inspected = self.api.inspect_container(container)
            except APIError as error:
                died = watcher.cause_of_death() if isinstance(error, NotFound) else None
                raise ServerNotReadyError(died or _refused("start", error)) from error
            server = replace(self._server(inspected), manifest=source.manifest)
            self.sweep()  # now, as it costs nothing while Postgres starts
            with stage("ready"):
                wait_until_ready(server, spec, watcher.cause_of_death)
            if isinstance(spec.lifetime, Lease) and self._is_podman:
                hold(spec.lifetime, watcher.stream.fileno())  # closed by us, it would take the standard input along
        return server

    def _server(self, inspected: Mapping[str, Any]) -> Server:
        published = (inspected["NetworkSettings"]["Ports"] or {}).get("5432/tcp")
        environment = dict(entry.split("=", 1) for entry in inspected["Config"]["Env"])
        return Server(
            run_id=inspected["Config"]["Labels"]["pgdst.run"],
            host=self.endpoint.database_host,
            port=int(published[0]["HostPort"] if published else environment.get("PGPORT", 0)),
            password=environment["POSTGRES_PASSWORD"],
            initial_password=environment.get("PGDST_INITIAL_PASSWORD"),
        )

    def _remove_own(self, spec: ServerSpec) -> None:
        """Remove what this process has created for a server; the next start removes what a silent daemon did not."""
        with undisturbed(), suppress(*([RequestException] if self._is_silent else [])):
            self.containers.remove_own(spec.run_id)


@contextmanager
def _marked(spec: ServerSpec) -> Iterator[None]:
    """Leave a mark while Docker creates a container: it does so even if this process is killed meanwhile."""
    if not isinstance(spec.lifetime, Lease):
        yield
        return
    mark = spec.lifetime.directory / CREATING
    mark.touch()
    try:
        yield
    except APIError:  # a refusal is an answer; an interruption is none, and leaves the mark
        mark.unlink()
        raise
    mark.unlink()


def _import_driver() -> None:
    """Import the driver while Docker creates the container, which takes four times as long."""
    import psycopg  # noqa: F401  # for whoever imports it next


def _refused(what: str, error: APIError) -> str:
    return f"Docker could not {what} the container: {error.explanation or error}. See: {call_of('doctor')}"
