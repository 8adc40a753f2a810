"""The psycopg connection with a gate: a client of a simulation sends nothing before it has the turn.

psycopg sends everything through one overridable method, `wait`. What no client of a simulation does goes on as ever.
"""

import re
import select
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

import psycopg
from psycopg.abc import Params, Query
from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

from pgdst.simulation.client import AtGate, Blocked, Client, current_client
from pgdst.simulation.faults import CUT, RAISED, Fault
from pgdst.simulation.gate.proxy import Proxy
from pgdst.simulation.statement import digest, outcome, statement
from pgdst.simulation.striking import bury, raise_in_transaction, statement_that_raises, stop_sending, wait_for_answer

RV = TypeVar("RV")
Conversation = Generator[Any, Any, RV]

# Without an answer for so long, Postgres is asked whether the statement waits for a lock; then ever more rarely.
ASK_AFTER_SECONDS = 0.0006
ASK_AT_LEAST_EVERY_SECONDS = 0.02

# In the detail of 40P01 each process of the circle has a line, the victim the first.
_BLOCKED_BY = re.compile(r"blocked by process (\d+)")
_READ, _WRITE = 1, 2
_WHAT = {"_commit_gen": "COMMIT", "_rollback_gen": "ROLLBACK"}


@dataclass
class Standing:
    """What a run knows of a connection, whatever libpq has noticed by now.

    It is read off libpq at the end of a conversation, where the protocol alone has brought libpq to it, and stays as
    it was when the server's side of the connection has ended: when libpq notices that depends on the machine's speed.
    """

    backend: int
    is_idle: bool = True  # no transaction is open
    is_in_flight: bool = False  # the server may be at work for it: in a pipeline, a COPY, a stream of rows
    is_dead: bool = False
    is_a_clients: bool = False  # a client has used it
    awaited: list[Any] = field(default_factory=list)  # cursors whose rows have not come yet

    def note(self, status: int) -> None:
        """Note libpq's transaction status at the end of a conversation."""
        if not self.is_dead:
            self.is_idle = status == TransactionStatus.IDLE
            self.is_in_flight = status == TransactionStatus.ACTIVE


class GatedCursor(psycopg.Cursor[Any]):
    """A cursor whose statements are described to the schedule."""

    def execute(self, query: Any, params: Params | None = None, **options: Any) -> Self:
        """Execute a statement, as psycopg does."""
        _describe(self, query, params)
        return super().execute(query, params, **options)

    def executemany(self, query: Query, params_seq: Iterable[Params], **options: Any) -> None:
        """Execute a statement with each of the parameters, as psycopg does."""
        given = list(params_seq)
        _describe(self, query, given)
        super().executemany(query, given, **options)

    def stream(self, query: Any, params: Params | None = None, **options: Any) -> Iterator[Any]:
        """Iterate over the rows of a statement while they arrive, as psycopg does."""
        _describe(self, query, params)
        yield from super().stream(query, params, **options)


class GatedAsyncCursor(psycopg.AsyncCursor[Any]):
    """The same for asyncio."""

    async def execute(self, query: Any, params: Params | None = None, **options: Any) -> Self:
        """Execute a statement, as psycopg does."""
        _describe(self, query, params)
        return await super().execute(query, params, **options)

    async def executemany(self, query: Query, params_seq: Iterable[Params], **options: Any) -> None:
        """Execute a statement with each of the parameters, as psycopg does."""
        given = list(params_seq)
        _describe(self, query, given)
        await super().executemany(query, given, **options)

    async def stream(self, query: Any, params: Params | None = None, **options: Any) -> AsyncIterator[Any]:
        """Iterate over the rows of a statement while they arrive, as psycopg does."""
        _describe(self, query, params)
        async for row in super().stream(query, params, **options):
            yield row


class GatedConnection(psycopg.Connection[Any]):
    """A connection that waits for the turn of the client that uses it."""

    standing: Standing
    speaking: GatedCursor | None = None
    saying: str | None = None
    refuse_others: Callable[[], None] | None = None

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> "GatedConnection":
        """Connect, as psycopg does."""
        client = current_client()
        if client is not None:
            client.stop(AtGate("connect"))
        options = {"cursor_factory": GatedCursor, **options}
        if client is not None and client.take_fault() is Fault.TOO_MANY:
            with client.no_connection_left():
                return super().connect(conninfo, **options)
        made = super().connect(conninfo, **options)
        made.standing = Standing(made.info.backend_pid)
        return made

    def wait(self, gen: Conversation[RV], *arguments: Any, **options: Any) -> RV:
        """Consume a conversation with the server, one step of the schedule or more."""
        client = _client_of(self, gen)
        if client is None:
            try:
                return super().wait(gen, *arguments, **options)
            finally:
                self.standing.note(self.info.transaction_status)
        exchange = _Exchange(client, self, gen)
        if not self.standing.is_in_flight:
            client.stop(exchange.gate)
        while (blocked := exchange.go_on()) is not None:
            client.stop(blocked)
        return exchange.value

    def close(self) -> None:
        """Close the connection; a client's step, as it may release locks."""
        client = current_client()
        if client is None or client.is_abandoned or self.standing.is_dead or self.closed:
            super().close()
            return
        try:
            client.stop(AtGate("close"))
        finally:
            super().close()
        client.closed(self.standing.backend)


class GatedAsyncConnection(psycopg.AsyncConnection[Any]):
    """The same for asyncio. While its client has the turn, the loop stands still: nobody else may run."""

    standing: Standing
    speaking: GatedAsyncCursor | None = None
    saying: str | None = None
    refuse_others: Callable[[], None] | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> "GatedAsyncConnection":
        """Connect, as psycopg does."""
        client = current_client()
        if client is not None:
            await client.stop_async(AtGate("connect"))
        options = {"cursor_factory": GatedAsyncCursor, **options}
        if client is not None and client.take_fault() is Fault.TOO_MANY:
            with client.no_connection_left():
                return await super().connect(conninfo, **options)
        made = await super().connect(conninfo, **options)
        made.standing = Standing(made.info.backend_pid)
        return made

    async def wait(self, gen: Conversation[RV], *arguments: Any, **options: Any) -> RV:
        """Consume a conversation with the server, one step of the schedule or more."""
        client = _client_of(self, gen)
        if client is None:
            try:
                return await super().wait(gen, *arguments, **options)
            finally:
                self.standing.note(self.info.transaction_status)
        exchange = _Exchange(client, self, gen)
        if not self.standing.is_in_flight:
            await client.stop_async(exchange.gate)
        while (blocked := exchange.go_on()) is not None:
            await client.stop_async(blocked)
        return exchange.value

    async def close(self) -> None:
        """Close the connection; a client's step, as it may release locks."""
        client = current_client()
        if client is None or client.is_abandoned or self.standing.is_dead or self.closed:
            await super().close()
            return
        try:
            await client.stop_async(AtGate("close"))
        finally:
            await super().close()
        client.closed(self.standing.backend)


Gated = GatedConnection | GatedAsyncConnection


class _Exchange(Generic[RV]):
    """One conversation with the server: psycopg's generator for it, driven until it ends or waits for a lock."""

    value: RV

    def __init__(self, client: Client, connection: Gated, conversation: Conversation[RV]) -> None:
        self._client = client
        self._connection = connection
        self._conversation = conversation
        self._wanted: int | None = None  # nothing has been sent
        self._cursor, connection.speaking = connection.speaking, None
        if self._cursor is not None:
            connection.standing.awaited.append(self._cursor)
        said, connection.saying = connection.saying, None
        self.what: str = said or _WHAT.get(_name(conversation), _name(conversation).strip("_"))

    @property
    def gate(self) -> AtGate:
        """Where the client stops before it."""
        in_pipeline = self._connection.pgconn.pipeline_status != PipelineStatus.OFF
        return AtGate(self.what, in_pipeline=in_pipeline)

    def go_on(self) -> Blocked | None:
        """Return None at the end, with the value in place. Raises: what psycopg raises."""
        self._client.uses(self._connection)
        blocked: Blocked | None = None
        try:
            if (fault := self._client.take_fault()) is not None:
                with self._client.ending_the_run():
                    self._suffer(fault)
            blocked = self._drive()
            return blocked
        except StopIteration as end:
            self.value = end.value
            self._client.note_answer(self.what, self._answer())
            return None
        except psycopg.Error as error:
            self._forget_the_rows()
            if (blocker := _whom_a_victim_waited_for(error)) is not None:
                self._client.note_wait(self.what, blocker)
            self._client.note_answer(self.what, error.sqlstate or type(error).__name__)
            raise
        finally:
            if blocked is None:
                self._connection.standing.note(self._connection.pgconn.transaction_status)

    def _forget_the_rows(self) -> None:
        """Wait for no rows of a statement that failed."""
        awaited = self._connection.standing.awaited
        awaited[:] = [cursor for cursor in awaited if cursor is not self._cursor]

    def _answer(self) -> str:
        """Return what came of it, and a hash of the rows that have come: with a pipeline's end those of all in it."""
        standing = self._connection.standing
        if not standing.awaited and self.value is None:
            return outcome(self._cursor)
        come = [cursor for cursor in standing.awaited if cursor.pgresult is not None]
        standing.awaited = [cursor for cursor in standing.awaited if cursor not in come]
        return " ".join(filter(None, [outcome(self._cursor), digest(come, self.value)]))

    def _suffer(self, fault: Fault) -> None:
        """Do what the fault does, so that the conversation meets it. Raises: what the server raises in its stead."""
        if fault in RAISED and self._connection.standing.is_dead:
            return  # there is no session left that could raise it
        if fault in RAISED:
            self._conversation.close()  # nothing has been sent
            raises = statement_that_raises(fault, self._client.full_disk())
            raise raise_in_transaction(self._connection, fault, raises, at_commit=self.what == "COMMIT")
        if fault is Fault.COMMIT_DONE:
            self.converse(None)
            wait_for_answer(self._connection)
        if fault in CUT:
            stop_sending(self._connection)
        self._client.suffers(fault, self._connection)

    def _drive(self) -> Blocked | None:
        """Return where it waits for a lock. Raises: StopIteration at the end."""
        if self._wanted is None:
            self.converse(None)
        patience = ASK_AFTER_SECONDS
        while True:
            ready = self.ready(patience)
            if not ready:
                if (blocked := self._client.asks_whether_blocked()) is not None:
                    return blocked
                patience = min(2 * patience, ASK_AT_LEAST_EVERY_SECONDS)
            self.converse(ready)

    def converse(self, ready: int | None) -> None:
        """Let psycopg send and read what it can, told for what the socket is ready, until it wants to wait again."""
        self._wanted = self._conversation.send(ready)

    def ready(self, patience_seconds: float) -> int:
        """Return for what the socket is ready of that which the conversation waits for; 0 after so long."""
        if self._connection.pgconn.status != ConnStatus.OK:  # it has no socket any more
            return _READ | _WRITE  # which raises: the conversation ends by itself
        descriptor = self._connection.pgconn.socket
        assert self._wanted is not None
        reads = [descriptor] if self._wanted & _READ else []
        writes = [descriptor] if self._wanted & _WRITE else []
        readable, writable, _ = select.select(reads, writes, [], patience_seconds)
        # What could be read while there is something to write depends on how fast the server is: not yet.
        return _WRITE if writable else _READ * bool(readable)


def _describe(cursor: GatedCursor | GatedAsyncCursor, query: Query, params: Params | Sequence[Params] | None) -> None:
    connection: Any = cursor.connection
    if current_client() is not None and isinstance(connection, Gated):
        connection.speaking, connection.saying = cursor, statement(query, params, connection)


def _client_of(connection: Gated, conversation: Conversation[Any]) -> Client | None:
    """Return whose turn a conversation needs, if anybody's. Raises: InconclusiveError, where nobody's does in a run."""
    if _sends_nothing(connection, conversation):
        return None
    client = current_client()
    if client is None and connection.refuse_others is not None:
        connection.refuse_others()
    return client


def _sends_nothing(connection: Gated, conversation: Conversation[Any]) -> bool:
    """Return whether a conversation is none: it only sets something in psycopg, or ends no transaction."""
    name = _name(conversation)
    if name in _WHAT:
        return connection.standing.is_idle
    return name.startswith(("_set_", "_check_")) or (name == "_enter_gen" and not connection.standing.is_in_flight)


def _whom_a_victim_waited_for(error: psycopg.Error) -> int | None:
    """Return the id of the process for which the victim of a deadlock waited; it may have been too short to be seen."""
    if error.sqlstate != "40P01":
        return None
    found = _BLOCKED_BY.search(error.diag.message_detail or "")
    return int(found[1]) if found else None


def _name(conversation: Conversation[Any]) -> str:
    return str(getattr(conversation, "__name__", "statement"))


class Connections:
    """The connections of attached engines, by the processes that serve them."""

    def __init__(self) -> None:
        self.proxy: Proxy | None = None  # through which others go
        self._open: dict[int, Gated] = {}
        self._databases: set[str] = set()

    def add(self, connection: Gated) -> None:
        """Take note of a new connection."""
        self._open[connection.standing.backend] = connection
        self._databases.add(connection.info.dbname)

    def databases(self) -> list[str]:
        """Return the names of the databases that they have led to."""
        return sorted(self._databases | (self.proxy.databases() if self.proxy is not None else set()))

    def died(self, backend: int, *, unheard: bool) -> None:
        """Settle what is left of a connection whose process has ended; `unheard`: its client hears nothing more of it.

        Raises: InconclusiveError.
        """
        if self.proxy is not None:
            self.proxy.died(backend, unheard=unheard)
        connection = self._open.pop(backend, None)
        if connection is not None and not connection.standing.is_dead:
            connection.standing.is_dead = True
            bury(connection, unheard=unheard)

    def forget(self, backend: int) -> None:
        """Forget a connection that was closed."""
        self._open.pop(backend, None)

    def left_by_clients(self, idle: Iterable[Gated]) -> list[int]:
        """Return the processes of what clients have used and neither closed nor given back to a pool, where it is idle.

        When Python closes them is up to its collector.
        """
        held = {connection.standing.backend for connection in idle}
        return [
            backend
            for backend, connection in self._open.items()
            if connection.standing.is_a_clients and backend not in held and not connection.closed
        ]

    def all_died(self) -> None:
        """Do so for all of them, when the server has crashed. Raises: InconclusiveError."""
        for backend in list(self._open):
            self.died(backend, unheard=False)
        if self.proxy is not None:
            self.proxy.all_died()

    def take_closed(self) -> list[int]:
        """Return the processes of those that were closed since this was asked last."""
        closed = [backend for backend, connection in self._open.items() if connection.closed]
        for backend in closed:
            del self._open[backend]
        return closed
