"""The psycopg connection with a gate: a client of a simulation sends nothing before it has the turn.

psycopg sends everything through one overridable method, `wait`. What no client of a simulation does goes on as ever.
"""

import select
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

import psycopg
from psycopg.abc import Params, Query
from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

from pgdst.simulation.client import AtGate, Blocked, Client, current_client
from pgdst.simulation.faults import RAISED, Fault
from pgdst.simulation.statement import outcome, statement
from pgdst.simulation.striking import cut, raise_in_transaction, statement_that_raises, wait_for_answer_and_drop_it

RV = TypeVar("RV")
Conversation = Generator[Any, Any, RV]

# Without an answer for so long, Postgres is asked whether the statement waits for a lock; then ever more rarely.
ASK_AFTER_SECONDS = 0.0006
ASK_AT_LEAST_EVERY_SECONDS = 0.02

_READ, _WRITE = 1, 2
_WHAT = {"_commit_gen": "COMMIT", "_rollback_gen": "ROLLBACK"}


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
        return super().connect(conninfo, **options)

    def wait(self, gen: Conversation[RV], *arguments: Any, **options: Any) -> RV:
        """Consume a conversation with the server, one step of the schedule or more."""
        client = _client_of(self, gen)
        if client is None:
            return super().wait(gen, *arguments, **options)
        exchange = _Exchange(client, self, gen)
        if not _is_in_flight(self):
            client.stop(exchange.gate)
        while (blocked := exchange.go_on()) is not None:
            client.stop(blocked)
        return exchange.value

    def close(self) -> None:
        """Close the connection; a client's step, as it may release locks."""
        client = current_client()
        if client is None or client.is_abandoned or self.closed:
            super().close()
            return
        backend = self.info.backend_pid
        try:
            client.stop(AtGate("close"))
        finally:
            super().close()
        client.closed(backend)


class GatedAsyncConnection(psycopg.AsyncConnection[Any]):
    """The same for asyncio. While its client has the turn, the loop stands still: nobody else may run."""

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
        return await super().connect(conninfo, **options)

    async def wait(self, gen: Conversation[RV], *arguments: Any, **options: Any) -> RV:
        """Consume a conversation with the server, one step of the schedule or more."""
        client = _client_of(self, gen)
        if client is None:
            return await super().wait(gen, *arguments, **options)
        exchange = _Exchange(client, self, gen)
        if not _is_in_flight(self):
            await client.stop_async(exchange.gate)
        while (blocked := exchange.go_on()) is not None:
            await client.stop_async(blocked)
        return exchange.value

    async def close(self) -> None:
        """Close the connection; a client's step, as it may release locks."""
        client = current_client()
        if client is None or client.is_abandoned or self.closed:
            await super().close()
            return
        backend = self.info.backend_pid
        try:
            await client.stop_async(AtGate("close"))
        finally:
            await super().close()
        client.closed(backend)


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
        try:
            if (fault := self._client.take_fault()) is not None:
                self._suffer(fault)
            return self._drive()
        except StopIteration as end:
            self.value = end.value
            self._client.note_answer(self.what, outcome(self._cursor))
            return None
        except psycopg.Error as error:
            self._client.note_answer(self.what, error.sqlstate or type(error).__name__)
            raise

    def _suffer(self, fault: Fault) -> None:
        """Do what the fault does, so that the conversation meets it. Raises: what the server raises in its stead."""
        if fault in RAISED:
            self._conversation.close()  # nothing has been sent
            raises = statement_that_raises(fault, self._client.full_disk())
            raise raise_in_transaction(self._connection, fault, raises, at_commit=self.what == "COMMIT")
        if fault is Fault.COMMIT_DONE:
            self._wanted = next(self._conversation)
            wait_for_answer_and_drop_it(self._connection)
        if fault in (Fault.LOST, Fault.COMMIT_UNDONE, Fault.COMMIT_DONE):
            cut(self._connection)
        self._client.suffers(fault, self._connection)

    def _drive(self) -> Blocked | None:
        """Return where it waits for a lock. Raises: StopIteration at the end."""
        if self._wanted is None:
            self._wanted = next(self._conversation)
        patience = ASK_AFTER_SECONDS
        while True:
            if self._connection.pgconn.status != ConnStatus.OK:  # it has no socket any more
                self._wanted = self._conversation.send(_READ | _WRITE)  # which raises: the conversation ends by itself
                continue
            descriptor = self._connection.pgconn.socket
            reads = [descriptor] if self._wanted & _READ else []
            writes = [descriptor] if self._wanted & _WRITE else []
            readable, writable, _ = select.select(reads, writes, [], patience)
            if not readable and not writable:
                if (blocked := self._client.asks_whether_blocked()) is not None:
                    return blocked
                patience = min(2 * patience, ASK_AT_LEAST_EVERY_SECONDS)
            # What could be read while there is something to write depends on how fast the server is: not yet.
            self._wanted = self._conversation.send(_WRITE if writable else _READ * bool(readable))


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
        return connection.info.transaction_status is TransactionStatus.IDLE
    return name.startswith(("_set_", "_check_")) or (name == "_enter_gen" and not _is_in_flight(connection))


def _is_in_flight(connection: Gated) -> bool:
    """Return whether the server may be at work for it at this moment: in a pipeline, a COPY, a stream of rows.

    Then its client keeps the turn, as nobody else may run meanwhile.
    """
    return connection.info.transaction_status is TransactionStatus.ACTIVE


def _name(conversation: Conversation[Any]) -> str:
    return str(getattr(conversation, "__name__", "statement"))
