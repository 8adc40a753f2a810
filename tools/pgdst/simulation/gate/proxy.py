"""The proxy that drivers connect to. It relays to the run's server, and stops clients at their yield points."""

import logging
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pgdst.errors import ConfigurationError
from pgdst.server.address import Server
from pgdst.server.lifetime import lease
from pgdst.simulation.gate import protocol
from pgdst.simulation.gate.garbage import no_collection
from pgdst.simulation.gate.run import Origin, Run
from pgdst.simulation.gate.session import Session
from pgdst.simulation.gate.trigger_points import TriggerPoints

PORT: Final = 5432  # in the name of the socket
_LONGEST_PATH: Final = 100  # bytes; the system's limit is 108, on a Mac 104
_WAITING: Final = 128
_LOG: Final = logging.getLogger(__name__)
_FEW: Final = 100  # sockets
_SETTLES_SECONDS: Final = 5.0
_SET_UP_SECONDS: Final = 0.02
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
Sockets = list[Any]


class Proxy:
    """A listening Unix socket in a folder of its own, and ports on 127.0.0.1 on request.

    Between runs a thread of the proxy relays. In a run the scheduler does, while it waits. So one thread relays at a
    time.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.run: Run | None = None
        self.trigger_points: dict[str, TriggerPoints] = {}  # by the names of databases
        self._selector = selectors.DefaultSelector()
        self._readers: dict[socket.socket, Callable[[], None]] = {}
        self._fronts: set[socket.socket] = set()
        self._writers: dict[socket.socket, Callable[[], None]] = {}
        self._sessions: set[Session] = set()
        self._by_pid: dict[int, Session] = {}
        self._databases: set[str] = set()
        self._doubt = ""
        self.ended: list[Session] = []  # those that the server has ended in the present step while they were idle
        self._names: dict[str, int] = {}
        self._heard: list[Session] = []
        self._closed: list[int] = []  # processes
        self._accepted = 0
        self._lease, self._descriptor = lease.new()
        self._listeners: list[socket.socket] = []
        self._origins: dict[Origin, socket.socket] = {}
        self._port: int | None = None
        try:
            self._listen(self._socket_at(self.folder / f".s.PGSQL.{PORT}"))
        except BaseException:
            lease.release(self._lease, self._descriptor)
            raise
        self._woken, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        self.watch(self._woken, self._take_wake_up)
        self._is_closed = False
        self._lock = threading.Lock()
        self._is_free = threading.Event()
        self._is_free.set()
        self._thread = threading.Thread(target=self._relay, name="pgdst-gate", daemon=True)
        self._thread.start()

    @property
    def folder(self) -> Path:
        """The folder of the socket."""
        return self._lease.directory

    def port(self) -> int:
        """Return the port on 127.0.0.1 for drivers that cannot use a Unix socket."""
        if self._port is None:
            self._port = self.new_port(None)
        return self._port

    def new_port(self, origin: Origin | None) -> int:
        """Return another port on 127.0.0.1, for the connections of one process."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=_WAITING)
        self._listen(listener, origin)
        self.wake()
        return int(listener.getsockname()[1])

    def _socket_at(self, path: Path) -> socket.socket:
        if len(str(path).encode()) > _LONGEST_PATH:
            raise ConfigurationError(f"The path of a socket would be too long: {path}. Set TMPDIR to a shorter one.")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(_WAITING)
        return listener

    def _listen(self, listener: socket.socket, origin: Origin | None = None) -> None:
        listener.setblocking(False)
        self._listeners.append(listener)
        self.watch(listener, lambda: self._accept(listener, origin))
        if origin is not None:
            self._origins[origin] = listener

    def _accept(self, listener: socket.socket, origin: Origin | None) -> None:
        try:
            front, _ = listener.accept()
        except OSError:  # the driver has hung up already
            return
        if front.family == socket.AF_INET:
            front.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted += 1
        self._fronts.add(front)
        self._sessions.add(Session(self, front, self._accepted, origin))

    def to_server(self) -> socket.socket:
        """Connect to the server. Raises: OSError."""
        if self.server.is_on_a_socket:
            back = socket.socket(socket.AF_UNIX)
            back.connect(f"{self.server.host}/.s.PGSQL.{self.server.port}")
        else:
            back = socket.create_connection((self.server.host, self.server.port), timeout=10)
            back.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back.setblocking(False)
        return back

    # Called by sessions.

    @property
    def run_of_now(self) -> Run:
        """The run that is under way."""
        assert self.run is not None
        return self.run

    def name(self, counted: str) -> str:
        """Return a stable name, numbered in the order of the run, for one that a driver has counted up."""
        return f"name{self._names.setdefault(counted, len(self._names))}"

    def known(self, session: Session) -> None:
        """Note which process serves a session."""
        self._by_pid[session.pid] = session
        self._databases.add(session.database)

    def gone(self, session: Session) -> None:
        """Forget a closed session, but keep a doubt about its owner."""
        if self.run is not None:
            self._doubt = self._doubt or session.is_doubtful
        self._sessions.discard(session)
        if session.pid:
            self._closed.append(session.pid)
        if self._by_pid.get(session.pid) is session:
            del self._by_pid[session.pid]

    def session_of(self, pid: int) -> Session | None:
        """Return the session that a server process serves, or None if it does not go through the proxy."""
        return self._by_pid.get(pid)

    def is_a_clients(self, pid: int) -> bool:
        """Return whether a client of a run has used the session that a server process serves."""
        session = self.session_of(pid)
        return session is not None and session.is_a_clients

    def cancel(self, pid: int) -> bool:
        """Cancel a session's statement; return whether it goes through the proxy. Not for the relaying thread."""
        session = self.session_of(pid)
        if session is None:
            return False
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(self.folder / f".s.PGSQL.{PORT}"))
            peer.sendall(protocol.request(protocol.CANCEL, session.key))
            while peer.recv(1):  # until the server has taken it
                pass
        return True

    # Relaying.

    def watch(self, source: socket.socket, read: Callable[[], None]) -> None:
        """Call `read` whenever `source` is readable."""
        self._readers[source] = read
        self._selector.register(source, _READ)

    def watch_to_write(self, target: socket.socket, write: Callable[[], None]) -> None:
        """Call `write` once, when `target` is writable."""
        self._writers[target] = write
        if target in self._readers:
            self._selector.modify(target, _READ | _WRITE)

    def forget(self, source: socket.socket) -> None:
        """Stop watching a socket."""
        self._writers.pop(source, None)
        self._fronts.discard(source)
        if self._readers.pop(source, None) is not None:
            self._selector.unregister(source)

    def pump(self, seconds: float | None) -> bool:
        """Relay data that arrives within `seconds` (None: no limit); return whether there was any."""
        readable, writable = self._ready_within(seconds)
        for target in writable:
            if (write := self._writers.pop(target, None)) is not None:
                if target in self._readers:
                    self._selector.modify(target, _READ)
                write()
        for source in readable:
            if (read := self._readers.get(source)) is not None:
                read()
        while self._heard:
            heard, self._heard = self._heard, []
            for session in sorted(heard, key=lambda one: one.number):
                session.go_through()
        return bool(readable or writable)

    def _ready_within(self, seconds: float | None) -> tuple[Sockets, Sockets]:
        """Return the sockets that are readable and writable within `seconds`.

        epoll's time-out is in milliseconds, which is longer than a statement takes. select's is finer, and it is
        faster for few sockets, but it accepts no descriptor above 1,023.
        """
        if seconds is not None and len(self._readers) <= _FEW:
            with suppress(ValueError):
                return select.select(self._readers, self._writers, (), seconds)[:2]
        ready = self._selector.select(seconds)
        found: tuple[Sockets, Sockets] = ([], [])
        for key, events in ready:
            for kind, one in zip((_READ, _WRITE), found, strict=True):
                if events & kind:
                    one.append(key.fileobj)
        return found

    def hear_more(self) -> None:
        """Read what drivers have sent meanwhile. It is handled after the present message."""
        readable, _ = self._ready_within(0)
        for source in readable:
            if source in self._fronts:
                self._readers[source]()

    def hear_all(self) -> None:
        """Relay until drivers send nothing more without a new answer. Anything that comes later is out of turn."""
        deadline = time.monotonic() + _SETTLES_SECONDS
        while time.monotonic() < deadline:
            for origin in self._origins:
                origin.wait_until_quiet()
            is_set_up = not any(one.is_being_set_up for one in self._sessions)
            if not self.pump(0 if is_set_up else _SET_UP_SECONDS) and is_set_up:
                return

    def forget_origin(self, origin: Origin) -> None:
        """Close the port of a process."""
        with self.quiet():
            listener = self._origins.pop(origin)
            self.forget(listener)
            self._listeners.remove(listener)
            listener.close()

    @property
    def has_other_processes(self) -> bool:
        """Whether other processes can connect."""
        return bool(self._origins)

    def doubtful(self) -> str:
        """Return why the client of some statement of the run is uncertain, or ""."""
        return self._doubt or next((one.is_doubtful for one in self._sessions if one.is_doubtful), "")

    def is_worn(self, origin: Origin) -> bool:
        """Return whether another process holds a dead connection or an open transaction. To be called between runs."""
        return any(one.origin is origin and (one.is_dead or one.is_in_transaction) for one in self._sessions)

    def heard(self, session: Session) -> None:
        """Note that a session has new data from its driver, to be handled when all sockets were read."""
        self._heard.append(session)

    def wake(self) -> None:
        """Make a waiting `pump` return."""
        with suppress(OSError):  # it is woken already; or the proxy is closed, and an abandoned client calls this
            self._wakes.send(b"!")

    def _take_wake_up(self) -> None:
        self._woken.recv(4096)

    def _relay(self) -> None:
        while self._is_free.wait() and not self._is_closed:
            with self._lock:
                if self._is_free.is_set():
                    self._pump_on()

    def _pump_on(self) -> None:
        """Relay. A bug in a session is logged and closes that connection alone."""
        try:
            self.pump(None)
        except Exception:
            _LOG.exception("The gate met an error, and closed the connection where it did.")

    def begin(self, run: Run) -> None:
        """Leave the relaying to a run."""
        self._is_free.clear()
        self.wake()
        self._lock.acquire()
        try:
            self.pump(0)  # relay what was sent before the run
        except BaseException:
            self._lock.release()
            self._is_free.set()
            raise
        self._names.clear()
        self._doubt = ""
        self.ended.clear()
        self.run = run

    def end(self) -> None:
        """End the run that `begin` began, and relay again. Connections that still wait at a yield point are closed."""
        self.run = None
        for session in list(self._sessions):
            session.run_has_ended()
        self._lock.release()
        self._is_free.set()

    def abandon(self) -> None:
        """End a run that has no result, and close its clients' connections."""
        self.run = None
        for session in list(self._sessions):
            if session.is_a_clients or session.lent_to is not None or session.origin is not None:
                session.close()

    def databases(self) -> list[str]:
        """Return the names of the databases that sessions are in, or have been."""
        return sorted(self._databases)

    def idle_sessions(self) -> list[Session]:
        """Return the sessions whose server waits for a request, or has ended."""
        return sorted((one for one in self._by_pid.values() if one.is_idle), key=lambda one: one.number)

    def died(self, pid: int, *, unheard: bool) -> None:
        """Settle a session whose server process has ended; `unheard`: the driver does not get its last messages."""
        if (session := self.session_of(pid)) is not None:
            session.bury(unheard=unheard)

    def all_died(self) -> None:
        """Settle all sessions, after a crash of the server."""
        for session in list(self._by_pid.values()):
            session.bury(unheard=False)

    def close_what_clients_left(self, idle: Container[object]) -> bool:
        """Close sessions that clients of a run have neither closed nor given back; return whether there were any.

        To be called between runs.
        """
        with self.quiet():
            left = [one for one in self._sessions if one.is_a_clients and one not in idle]
            for session in left:
                session.close()
        return bool(left)

    def take_closed(self) -> list[int]:
        """Return the pids of the sessions that were closed since the last call."""
        with self.quiet():
            self.pump(0)
            closed, self._closed = self._closed, []
        return closed

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Stop relaying in this block."""
        with no_collection():
            self._is_free.clear()
            self.wake()
            try:
                with self._lock:
                    yield
            finally:
                self._is_free.set()

    def close(self) -> None:
        """Close all connections and the listening sockets."""
        self._is_closed = True
        self._is_free.set()
        self.wake()
        self._thread.join()
        for session in list(self._sessions):
            session.close()
        for one in (*self._listeners, self._woken, self._wakes):
            one.close()
        self._selector.close()
        lease.release(self._lease, self._descriptor)
