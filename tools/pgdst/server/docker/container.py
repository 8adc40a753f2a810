"""Creating a container: its first process, its lifetime, its labels and where its data is."""

import json
import time
from dataclasses import dataclass
from typing import Any

import docker

from pgdst.manifest import Manifest
from pgdst.server import settings
from pgdst.server.address import DATABASE, USER
from pgdst.server.docker import snapshot_image
from pgdst.server.docker.network import LOOPBACK
from pgdst.server.docker.podman import OWN_USER
from pgdst.server.lifetime.lease import Lease
from pgdst.server.lifetime.ownership import owner
from pgdst.server.password import new_password
from pgdst.server.spec import ServerSpec, TimeToLive

PGDATA = "/var/lib/postgresql/data"
# A tmpfs of the container's own, of one page, that is always full: see full_disk.py. Not the one that the data is on:
# filling that takes as much memory as it has room, and a server without room for its log (PANIC) ends all sessions.
FULL_DISK = "/pgdst-full"
FULL_DISK_OPTIONS = "rw,size=4k,mode=1777"
POSTGRES_PORT = 5432  # in a network of its own
INITDB_ARGUMENTS = (
    "--no-sync",
    "--auth-host=scram-sha-256",  # initdb would trust whoever comes from loopback, which is the machine's own
)

# The container's first process. It ends, and everything in the container with it, when Postgres ends or when WATCH
# does; Postgres is not stopped gently, as the data is thrown away. A shell that is process 1 only heeds a signal that
# it traps.
PROGRAM = """
trap 'exit 143' TERM
exec 3<&0
{ SERVER "$@"; } </dev/null 3<&- &
server=$!
{ WATCH; kill -TERM $$; } &
wait "$server"
END
"""
# End of file when the holder of the attached stream has gone. Whoever wants to keep the server has said for how long.
KEEP = "/dev/shm/pgdst-keep"  # noqa: S108  # the container's own
WATCH_LEASE = f'cat <&3 >/dev/null; [ ! -e {KEEP} ] || sleep "$(cat {KEEP})"'
WATCH_CLOCK = "sleep {seconds}"
# A server that was stopped cleanly, as its data is wanted: the container waits for the end of its lease.
STAY = 'status=$?; [ "$status" -ne 0 ] || wait; exit "$status"'


@dataclass(frozen=True)
class Source:
    """The image that a container is created from, and its volumes; `user` (uid:gid) and the others are a snapshot's."""

    reference: str
    volumes: tuple[str, ...]
    manifest: Manifest | None = None
    initial_password: str | None = None
    user: str | None = None

    @property
    def server(self) -> str:
        """The shell's words that start Postgres.

        A snapshot's container runs as the owner of the data directory, which then needs nothing that the image's
        entrypoint does; on a data directory that is there, that would only start Postgres too.
        """
        return "docker-entrypoint.sh" if self.manifest is None else f"{snapshot_image.UNPACK} && exec"


def name_of(spec: ServerSpec) -> str:
    """Return the container's name; it is fixed for a kind of which only one may be started at a time."""
    names = {"run": f"pgdst-run-{spec.run_id}", "dev": f"pgdst-{spec.run_id}"}
    return names.get(spec.kind) or f"pgdst-snapshot-{spec.checkout}"


def create(
    api: docker.APIClient, spec: ServerSpec, source: Source, bind_address: str, port: int | None, *, podman: bool
) -> str:
    """Have the daemon, which may be Podman, create the spec's container and return its id.

    With a port its server listens there, on the machine's own loopback; else Docker publishes one on bind_address.
    """
    environment = {"PGDST_INITIAL_PASSWORD": source.initial_password} if source.initial_password else {}
    listen = ["-c", f"listen_addresses={LOOPBACK}"] if port else []
    reached = {"network_mode": "host"} if port else {"port_bindings": {POSTGRES_PORT: (bind_address, None)}}
    made: dict[str, Any] = api.create_container(
        source.reference,
        name=name_of(spec),
        entrypoint=["sh", "-c", _program(spec, source), "pgdst"],
        command=["postgres", *settings.arguments(spec.server_settings, spec.run_id), *listen],
        stdin_open=isinstance(spec.lifetime, Lease),
        user=source.user,
        labels=_labels(spec),
        environment={
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": new_password(),
            "POSTGRES_DB": DATABASE,
            "POSTGRES_INITDB_ARGS": " ".join((*settings.INITDB_ARGUMENTS, *INITDB_ARGUMENTS)),
            "PGDATA": PGDATA,
            "PGPORT": str(port or POSTGRES_PORT),  # for the server, and for psql in the container
            **environment,
            "TZ": "UTC",  # or initdb compares this machine's time with every time zone, for two seconds
        },
        ports=None if port else [POSTGRES_PORT],
        host_config=api.create_host_config(
            auto_remove=True,
            tmpfs=_tmpfs(source, spec.disk_mib, podman=podman),
            log_config=docker.types.LogConfig(type="json-file", config={"max-size": "10m"}),
            **reached,
        ),
    )
    return str(made["Id"])


def _program(spec: ServerSpec, source: Source) -> str:
    lifetime = spec.lifetime
    watch = WATCH_CLOCK.format(seconds=lifetime.seconds) if isinstance(lifetime, TimeToLive) else WATCH_LEASE
    program = PROGRAM.replace("WATCH", watch).replace("END", STAY if spec.makes_snapshot else "")
    return program.replace("SERVER", source.server)


def _tmpfs(source: Source, disk_mib: int, *, podman: bool) -> dict[str, str]:
    """Lay a tmpfs over PGDATA and every VOLUME of the image: an anonymous volume would outlive a crashed daemon.

    Another one is so small that it is always full.
    """
    options, full = f"rw,size={disk_mib}m", FULL_DISK_OPTIONS
    if source.user is not None:
        uid, gid = source.user.split(":")
        owner = OWN_USER if podman else f",uid={uid},gid={gid}"
        options += f"{owner},mode=0700"
        full += owner  # the snapshot has its folder, of whose mode Docker makes the mount's
    return {**dict.fromkeys({PGDATA, *source.volumes}, options), FULL_DISK: full}


def _labels(spec: ServerSpec) -> dict[str, str]:
    labels = {
        "pgdst.run": spec.run_id,
        "pgdst.kind": spec.kind,
        "pgdst.checkout": spec.checkout,
        "pgdst.owner": json.dumps(owner()),
    }
    if isinstance(spec.lifetime, TimeToLive):
        labels["pgdst.expires"] = str(int(time.time()) + spec.lifetime.seconds)
    return labels
