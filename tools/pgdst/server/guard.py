"""The guard refuses connections of this process to any server but the run's, before they are made.

In a run of several clients it also refuses those that clients make past the gate.

It covers psycopg, psycopg2 and asyncpg, whoever calls them, and SQLAlchemy's engines on any other driver. Not covered:
other processes, psycopg.pq, a connection class of psycopg2, and an engine's `creator` on another driver.
"""

import importlib
import os
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pgdst.errors import ForeignServerError
from pgdst.installation import PACKAGE
from pgdst.server.address import IS_THE_KITS, Server

_DEFAULT_PORT: Final = 5432
_LIBPQS_DEFAULT: Final = "/var/run/postgresql"  # or another directory of sockets, in none of which is a server of ours
_GUARDED_BY_THEMSELVES: Final = {"psycopg", "psycopg_async", "psycopg2", "asyncpg"}
_CURES: Final = (
    "Name the variables that the backend's settings read in [tool.pgdst.environment] of pyproject.toml, such as "
    'POSTGRES_SERVER = "{host}", or let them read DATABASE_URL. What has to reach another server is named there: '
    '[tool.pgdst] other_servers = ["host:port"].'
)
_TCP: Final = " What can't use the directory of a socket finds the server on 127.0.0.1 with EMBEDDED_TCP=1."


@dataclass(frozen=True)
class Place:
    """Where a server listens: a host name or address, or a socket's directory, and the port."""

    host: str
    port: int

    @property
    def is_a_socket(self) -> bool:
        """Whether it is a Unix socket's directory."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        """Return it as it stands in `other_servers`."""
        return f"{self.host}:{self.port}"

    def is_same(self, other: "Place") -> bool:
        """Return whether both are the same server, whatever names they are given by."""
        return self.port == other.port and bool(_addresses(self.host) & _addresses(other.host))


class Guard:
    """The servers that this process may connect to: any, as long as no block names one of the kit's."""

    def __init__(self) -> None:
        self._blocks = 0
        self._ours: list[Place] = []
        self._others: list[Place] = []
        self._watched: list[tuple[Place, Callable[[], object]]] = []
        self._folder = Path()
        self._resources = ExitStack()

    @contextmanager
    def allowing(self, server: Server, others: Iterable[str], folder: Path) -> Iterator[None]:
        """Refuse in this block what leads neither to the server nor to one of the others, of the backend in a folder.

        Blocks may be nested: each adds a server.
        """
        ours, named = Place(server.host, server.port), [_place(other) for other in others]
        self._ours.append(ours)
        self._others += named
        self._folder = folder
        try:
            with self._installed():
                yield
        finally:
            self._ours.remove(ours)
            for one in named:
                self._others.remove(one)

    @contextmanager
    def also(self, place: Place) -> Iterator[None]:
        """Allow, in this block, connections to one more place: a proxy of the kit's before the server."""
        self._others.append(place)
        try:
            yield
        finally:
            self._others.remove(place)

    @contextmanager
    def watching(self, place: Place, ask: Callable[[], object]) -> Iterator[None]:
        """Call `ask` in this block before each connection to a place. What it raises refuses the connection."""
        watched = (place, ask)
        self._watched.append(watched)
        try:
            with self._installed():
                yield
        finally:
            self._watched.remove(watched)

    def check(self, host: str | None, port: str | int | None, addresses: str | None = None) -> None:
        """Return if a connection leads to an allowed server, or if its address is invalid: the driver reports that.

        As in libpq, there may be several hosts, with a port each or one for all, and their `addresses`.

        Raises: ForeignServerError; whatever a watched place is refused by.
        """
        try:
            places = list(_places(host, port, addresses))
        except (ValueError, IndexError):
            return
        for wanted in places:
            for place, ask in self._watched:
                if wanted.is_same(place):
                    ask()
            if self._ours and not any(wanted.is_same(allowed) for allowed in (*self._ours, *self._others)):
                raise ForeignServerError(self._refusal(wanted))

    def _refusal(self, wanted: Place) -> str:
        asked, named = _asked_by(self._folder, sys._getframe(2)), _named_in(self._folder, wanted)
        about = "; ".join(filter(None, [asked and f"{asked} asks for it", named and f"it stands in {named}"]))
        return (
            f"Refusing to connect to {wanted}{about and f' ({about})'}: this run's server is {self._ours[-1]}. "
            f"Nothing was sent. {_CURES}{_TCP if self._ours[-1].is_a_socket else ''}"
        )

    def _check_conninfo(self, conninfo: str) -> None:
        from psycopg.conninfo import conninfo_to_dict

        if IS_THE_KITS.get():
            return
        given = {**_defaults(), **{name: str(value) for name, value in conninfo_to_dict(conninfo).items()}}
        if self._ours and given.get("service"):
            raise ForeignServerError(f"Refusing to connect to the service {given['service']!r}. {_CURES}")
        host = given.get("host") or (None if given.get("hostaddr") else _LIBPQS_DEFAULT)
        self.check(host, given.get("port"), given.get("hostaddr"))

    def _of_psycopg(self, original: Any) -> Any:
        def guarded(cls: type, conninfo: str = "") -> Any:
            self._check_conninfo(conninfo)
            return original.__func__(cls, conninfo)

        return classmethod(guarded)

    def _of_psycopg2(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(dsn: str, **options: Any) -> Any:
            self._check_conninfo(dsn)
            return original(dsn, **options)

        return guarded

    def _of_asyncpg(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(*, addr: Any, **options: Any) -> Any:
            self.check(*(_of_socket(addr) if isinstance(addr, str) else addr))
            return await original(addr=addr, **options)

        return guarded

    def _of_engines(self, dialect: Any, _record: object, _arguments: object, options: Mapping[str, Any]) -> None:
        if dialect.name == "postgresql" and dialect.driver not in _GUARDED_BY_THEMSELVES:
            socket_file = options.get("unix_sock")
            self.check(*(_of_socket(socket_file) if socket_file else (options.get("host"), options.get("port"))))

    @contextmanager
    def _installed(self) -> Iterator[None]:
        self._blocks += 1
        try:
            if self._blocks == 1:
                self._install()
            yield
        finally:
            self._blocks -= 1
            if not self._blocks:
                self._resources.close()

    def _install(self) -> None:
        from psycopg._connection_base import BaseConnection
        from sqlalchemy import Engine, event

        self._replace(BaseConnection, "_connect_gen", self._of_psycopg)
        with suppress(ImportError):
            self._replace(importlib.import_module("psycopg2"), "_connect", self._of_psycopg2)
        with suppress(ImportError):
            self._replace(importlib.import_module("asyncpg.connect_utils"), "_connect_addr", self._of_asyncpg)
        event.listen(Engine, "do_connect", self._of_engines)
        self._resources.callback(event.remove, Engine, "do_connect", self._of_engines)

    def _replace(self, owner: Any, name: str, by: Callable[[Any], Any]) -> None:
        original = vars(owner)[name]
        setattr(owner, name, by(original))
        self._resources.callback(setattr, owner, name, original)


GUARD: Final = Guard()  # of this process


def _place(named: str) -> Place:
    host, _, port = named.rpartition(":")
    return Place(host.strip("[]"), int(port))


def _places(host: str | None, port: str | int | None, addresses: str | None) -> Iterator[Place]:
    hosts = (host or "").split(",")
    given = addresses.split(",") if addresses else [""] * len(hosts)
    ports = str(port or _DEFAULT_PORT).split(",")
    for number, address in enumerate(given):
        name = hosts[number] if host else ""
        # An address of the name's own is one of several that are tried in turn: it is the name that is meant.
        meant = name if not address or address in _addresses(name) else address
        yield Place(meant or "localhost", int(ports[number if len(ports) > 1 else 0] or _DEFAULT_PORT))


def _of_socket(path: str) -> tuple[str, int]:
    """Return the directory of a socket, and its number."""
    return os.path.dirname(path), int(path.rpartition(".")[2])  # noqa: PTH120  # as it was given


def _defaults() -> dict[str, str]:
    """Return the parameters that libpq takes from the environment by default."""
    import psycopg

    found = psycopg.pq.Conninfo.get_defaults()
    return {one.keyword.decode(): one.val.decode() for one in found if one.val is not None}


def _addresses(host: str) -> set[str]:
    if host.startswith(("/", "@")):
        return {os.path.realpath(host)}
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return {host}


def _asked_by(folder: Path, frame: FrameType | None) -> str:
    """Return the innermost place of the backend's own code that asks for the connection."""
    paths = sysconfig.get_paths()
    folders = (paths["stdlib"], paths["purelib"], paths["platlib"], str(PACKAGE))
    installed = tuple([os.path.realpath(folder) for folder in folders])
    while frame is not None:
        file = os.path.realpath(frame.f_code.co_filename)
        if not frame.f_code.co_filename.startswith("<") and not file.startswith(installed):
            named = os.path.relpath(file, folder) if file.startswith(str(folder)) else file
            return f"{named}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""


def _named_in(folder: Path, wanted: Place) -> str:
    """Return the variables of the environment, or of the backend's .env files, that hold the host or the port."""
    found = [f"{name} of the environment" for name, value in os.environ.items() if _has(name, value, wanted)]
    for file in (folder / ".env", folder.parent / ".env"):
        with suppress(OSError):
            lines = (line.partition("=") for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
            found += [f"{name.strip()} of {file}" for name, _, value in lines if _has(name, value, wanted)]
    return ", ".join(found)


def _has(name: str, value: str, wanted: Place) -> bool:
    is_port = "port" in name.lower() and value.strip().strip("\"'") == str(wanted.port)
    return is_port or str(wanted) in value
