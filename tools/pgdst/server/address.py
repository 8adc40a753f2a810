"""Where a server is and how to log in to it."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pgdst.errors import ConfigurationError, ForeignServerError, ServerUnreachableError
from pgdst.manifest import Manifest

if TYPE_CHECKING:
    import psycopg  # imported where it is used: a script that only removes a container needs no driver

USER = "pgdst"
DATABASE = "pgdst"
# The host in a socket's URL, as pydantic requires one. libpq and SQLAlchemy follow the query instead. A client that
# ignores the query finds no server, and not whatever listens on 5432. The directory itself would need a `%`, which
# Alembic's set_main_option refuses.
_NOWHERE = "localhost:1"
IS_THE_KITS = ContextVar("IS_THE_KITS", default=False)  # whether the kit itself is connecting: the guard lets it


@dataclass(frozen=True)
class Server:
    """A running Postgres of the kit: the run it belongs to and its coordinates.

    `host` is a name or address, or the absolute path of the directory with the Unix socket. `port` is a TCP port,
    or the number in the socket's name. `manifest` says from which files its database was migrated, where
    this process knows. `initial_password` is a snapshot's, until the server is given its own.
    """

    run_id: str
    host: str
    port: int
    password: str
    user: str = USER
    database: str = DATABASE
    manifest: Manifest | None = field(default=None, repr=False, compare=False)
    initial_password: str | None = field(default=None, repr=False, compare=False)
    engine: str = "docker"  # or embedded: then its processes are this machine's own

    @property
    def revision(self) -> str | None:
        """The revision that its database was migrated to, where that is known."""
        return self.manifest.head if self.manifest else None

    @property
    def is_on_a_socket(self) -> bool:
        """Whether it is reached by a Unix socket, and not by TCP."""
        return self.host.startswith("/")

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, with the password."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        if self.is_on_a_socket:
            place, query = _NOWHERE, f"?{urlencode({'host': self.host, 'port': self.port}, safe='/')}"
        else:
            place, query = f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}", ""
        return f"postgresql+psycopg://{login}@{place}/{quote(self.database, safe='')}{query}"

    def with_database(self, name: str) -> "Server":
        """Return the same server with another database selected."""
        return replace(self, database=name)

    def connect(self, *, timeout_seconds: int = 10) -> "psycopg.Connection":
        """Open an autocommit connection of the kit's own.

        libpq's environment variables (PGSERVICE, PGOPTIONS, PGSSLMODE …) do not apply.

        Raises: ServerUnreachableError.
        """
        import psycopg

        is_the_kits = IS_THE_KITS.set(True)
        with _environment(libpq_variables(), {}):
            try:
                return psycopg.connect(
                    host=self.host,
                    port=self.port,
                    user=self.user,
                    password=self.password,
                    dbname=self.database,
                    connect_timeout=timeout_seconds,
                    autocommit=True,
                )
            except psycopg.OperationalError as error:
                raise ServerUnreachableError(
                    f"The server of the run {self.run_id} does not answer at {self.host}:{self.port}: "
                    f"{str(error).strip()}. It has ended, or was removed; start another."
                ) from error
            finally:
                IS_THE_KITS.reset(is_the_kits)

    def environment(self) -> dict[str, str]:
        """Return the variables by which an application or libpq finds this server and no other."""
        return {
            "PGDST_RUN_ID": self.run_id,
            "PGDST_DATABASE_URL": self.url,
            "PGDST_SERVER_ENGINE": self.engine,
            "DATABASE_URL": self.url,
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
        }

    def shell(self) -> str:
        """Return `environment()` as lines for a POSIX shell; every other variable that libpq reads is unset."""
        ours = self.environment()
        unset = [name for name in libpq_variables() if name not in ours]
        return f"unset {' '.join(unset)}\n{exports(ours)}"

    @contextmanager
    def as_environment(self, others: Mapping[str, str] | None = None) -> Iterator[None]:
        """Let this process's environment point at this server and no other during the block.

        `others` are further variables to set.
        """
        with _environment(libpq_variables(), {**self.environment(), **(others or {})}):
            yield


def exports(variables: Mapping[str, str]) -> str:
    """Return variables as lines for a POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def libpq_variables() -> list[str]:
    """Return the names of all environment variables that this libpq reads, PGHOSTADDR and PGSERVICE among them."""
    import psycopg

    read_by_options = (option.envvar for option in psycopg.pq.Conninfo.get_defaults())
    return sorted({name.decode() for name in read_by_options if name} | {"PGSERVICEFILE", "PGTZ", "PGDATESTYLE"})


def from_environment(environment: Mapping[str, str]) -> Server | None:
    """Return the server that `PGDST_DATABASE_URL` and `PGDST_RUN_ID` name, or None where neither is set.

    `PGDST_SERVER_ENGINE` names its engine: docker, unless it is set. DATABASE_URL is ignored, and nothing is connected
    to.

    Raises: ConfigurationError where only one is set, or the URL is not one of ours.
    """
    text, run_id = environment.get("PGDST_DATABASE_URL"), environment.get("PGDST_RUN_ID")
    if not text and not run_id:
        return None
    if not text or not run_id:
        raise ConfigurationError(
            "PGDST_DATABASE_URL and PGDST_RUN_ID go together, but only one of them is set. "
            "Unset both, or let with_postgres.sh set them."
        )
    return replace(_parse(text, run_id), engine=environment.get("PGDST_SERVER_ENGINE") or "docker")


def _parse(text: str, run_id: str) -> Server:
    try:
        url = urlsplit(text)
        query = dict(parse_qsl(url.query))
        host, port = query.get("host") or url.hostname, int(query.get("port") or url.port or 5432)
        if host is None:
            raise ValueError
        user, password, database = (unquote(part or "") for part in (url.username, url.password, url.path[1:]))
    except (ValueError, KeyError) as error:
        raise ConfigurationError(
            f"PGDST_DATABASE_URL is not a URL of the kit ({type(error).__name__}). Let with_postgres.sh set it."
        ) from None  # the cause would print the URL, and the password in it
    return Server(run_id, host, port, password, user, database)


def require_ours(connection: "psycopg.Connection", run_id: str) -> None:
    """Return only if the server behind `connection` was started by the run `run_id`.

    Call it before anything is migrated, reset or dropped.

    Raises: ForeignServerError.
    """
    row = connection.execute("SELECT current_setting('pgdst.run_id', true)").fetchone()
    found = row[0] if row else None
    if found != run_id:
        answer = f"answers with run id {found}" if found else "has no run id: pgdst did not start it"
        info = connection.info
        raise ForeignServerError(
            f"Refusing to touch the server at {info.host}:{info.port}: it {answer}, expected {run_id}. "
            "Unset PGDST_DATABASE_URL and PGDST_RUN_ID, or let with_postgres.sh set them."
        )


@contextmanager
def _environment(removed: list[str], added: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in removed:
        os.environ.pop(name, None)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in {*removed, *added}:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
