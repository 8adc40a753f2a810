"""ServerSpec: the server that an engine is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pgdst.errors import ConfigurationError
from pgdst.manifest import Manifest, digest
from pgdst.server.address import Server
from pgdst.server.deadline import Deadline
from pgdst.server.lifetime.lease import Lease

MINIMUM_DISK_MIB = 8


@dataclass(frozen=True)
class TimeToLive:
    """The lifetime of a server that no run holds: it removes itself after so many seconds."""

    seconds: int


@dataclass(frozen=True)
class Recipe:
    """How a server's database is migrated; `key` is the hash of what that depends on, the backend's files aside.

    `migrate` brings the database to the head and returns what was read. `fill` also makes the template for clones.
    """

    key: str
    migrate: Callable[[Server], Manifest]
    fill: Callable[[Server], Manifest]

    def key_on(self, base: str) -> str:
        """Return the key together with what initialises the data directory: an image's name, or the wheel."""
        return digest(f"{self.key} {base}".encode())


@dataclass(frozen=True)
class ServerSpec:
    """A server to start: its checkout, lifetime, settings, room for data (MiB), time to start (s), and migrations.

    Without a `recipe` its database is empty. With one it starts from a cached snapshot, unless `snapshot` is False.
    """

    checkout: str
    lifetime: Lease | TimeToLive
    settings: Mapping[str, str]
    disk_mib: int = 1024
    wait_seconds: float = 60
    deadline: Deadline | None = field(default=None, compare=False)  # once the start has begun
    recipe: Recipe | None = None
    snapshot: bool = True
    makes_snapshot: bool = False

    def begun(self) -> "ServerSpec":
        """Return the same with a deadline, which is `wait_seconds` from now where it had none.

        Raises: ConfigurationError where no server can be like this.
        """
        if self.disk_mib < MINIMUM_DISK_MIB:
            raise ConfigurationError(
                f"DISK_MIB is {self.disk_mib}, but Postgres needs at least {MINIMUM_DISK_MIB} MiB."
            )
        if isinstance(self.lifetime, TimeToLive) and self.lifetime.seconds < 1:
            raise ConfigurationError("TTL_HOURS must be at least a second.")
        return self if self.deadline else replace(self, deadline=Deadline(self.wait_seconds))

    @property
    def end(self) -> Deadline:
        """The deadline of a start that has begun."""
        assert self.deadline is not None, "the start has not begun"
        return self.deadline

    @property
    def kind(self) -> str:
        """`snapshot` for a server that one is made of, `run` where a lease holds it, `dev` for a time to live."""
        return "snapshot" if self.makes_snapshot else "run" if isinstance(self.lifetime, Lease) else "dev"

    @property
    def server_settings(self) -> dict[str, str]:
        """The settings; a snapshot's server removes segments of its log, as they would be packed."""
        return {**self.settings, **({"wal_recycle": "off"} if self.makes_snapshot else {})}

    @property
    def run_id(self) -> str:
        """The run's id; a database of `make db-up` gets one of its own."""
        return self.lifetime.run_id if isinstance(self.lifetime, Lease) else f"dev-{self.checkout}"
