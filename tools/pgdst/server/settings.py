"""Every Postgres setting of a throw-away server, each with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgdst.errors import ServerNotReadyError

if TYPE_CHECKING:
    import psycopg

INITDB_ARGUMENTS = (
    "--locale=C",  # the same order of text on every host and image
    "--encoding=UTF8",
    "--wal-segsize=1",  # MiB: a new data directory, and so a snapshot, is 15 MiB smaller
    "--set=scram_iterations=1",  # as below: the first role's password is hashed by initdb
)


@dataclass(frozen=True)
class Setting:
    """One setting: its name, its value exactly as SHOW prints it, and why it is so."""

    name: str
    value: str
    reason: str


SETTINGS = (
    Setting("fsync", "off", "speed: the data is thrown away, only a crash of the machine could lose it"),
    Setting("full_page_writes", "off", "speed: torn pages only follow a crash of the machine"),
    Setting("synchronous_commit", "on", "safety: a crashed Postgres process must not lose a commit"),
    Setting("autovacuum", "off", "determinism: no background work changes plans or takes locks"),
    Setting("max_parallel_workers_per_gather", "0", "determinism: parallel workers return rows in any order"),
    Setting("jit", "off", "speed and determinism: compiling depends on estimated costs"),
    Setting("synchronize_seqscans", "off", "determinism: a scan starts at the first page, whoever else scans"),
    Setting("search_path", "public", "safety: `$user` would be the kit's own schema, which has its user's name"),
    Setting("deadlock_timeout", "10ms", "speed: a deadlock is found at once"),
    Setting("TimeZone", "UTC", "determinism: the same text of a time on every machine"),
    Setting("scram_iterations", "1", "speed: hashing again and again only protects passwords that can be guessed"),
    Setting("log_timezone", "UTC", "the log reads alike on every machine"),
    Setting("lc_messages", "C", "errors read alike on every machine"),
)


def merged(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return all settings, name → value; those of `[tool.pgdst.settings]` take precedence.

    Case does not distinguish names, as in Postgres; an overridden setting keeps the spelling of SETTINGS.
    """
    canonical = {setting.name.lower(): setting.name for setting in SETTINGS}
    values = {setting.name: setting.value for setting in SETTINGS}
    values.update({canonical.get(name.lower(), name): value for name, value in overrides.items()})
    return values


def arguments(values: Mapping[str, str], run_id: str) -> list[str]:
    """Return the `-c name=value` arguments for `postgres`, including the run's id."""
    pairs = {**values, "pgdst.run_id": run_id}
    return [part for name, value in pairs.items() for part in ("-c", f"{name}={value}")]


def verify(connection: "psycopg.Connection", expected: Mapping[str, str]) -> None:
    """Ask the server with SHOW whether each setting of SETTINGS is in force.

    Overrides are not compared: users may spell a value differently from SHOW.

    Raises: ServerNotReadyError, naming every setting that differs.
    """
    ours = {setting.name: setting.value for setting in SETTINGS if expected[setting.name] == setting.value}
    query = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
    found: dict[str, str] = dict(connection.execute(query, (list(ours),)).fetchall())
    differing = [f"{name} is {found[name]}, expected {value}" for name, value in ours.items() if found[name] != value]
    if differing:
        raise ServerNotReadyError(
            f"The server does not run with pgdst's settings ({'; '.join(differing)}). "
            "Something in the image overrides them: use IMAGE=postgres:16-alpine, or set them in [tool.pgdst.settings]."
        )
