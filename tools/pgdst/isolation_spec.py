"""Specifications of PostgreSQL's own isolation tester: read one, and run its permutations in a simulation.

    spec = isolation_spec.load(Path("write-skew.spec").read_text())
    for permutation in spec.permutations:
        spec.set_up(connection)
        run = spec.run(permutation)
        for name, client in run.clients.items():
            simulation.spawn(name, client, engine)
        result = simulation.run(run.strategy)
        spec.tear_down(connection)

`Result.as_isolation_spec` writes one.

Source: src/test/isolation/README and specscanner.l of PostgreSQL 16.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine

from pgdst.errors import ConfigurationError
from pgdst.simulation.clients.client import sqlstate
from pgdst.simulation.isolation_text import KEYWORDS
from pgdst.simulation.strategies.strategy import ChoicePoint

_TOKEN: Final = re.compile(
    r"""
    (?P<space> \s+ | \#[^\n]* )
  | (?P<sql> \{ [^{}]* \} )
  | (?P<quoted> "(?:[^"\n]|"")*" )
  | (?P<name> [A-Za-z_\x80-\U0010ffff] [\w$]* )
  | (?P<number> \d+ )
  | (?P<symbol> [()*,] )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Session:
    """A session: its steps' SQL by name, and the SQL before and after them."""

    name: str
    setup: str
    steps: Mapping[str, str]
    teardown: str


@dataclass(frozen=True)
class IsolationSpec:
    """A specification. `permutations` are names of steps in order; all there are, where the text lists none."""

    setup: tuple[str, ...]
    teardown: str
    sessions: tuple[Session, ...]
    permutations: tuple[tuple[str, ...], ...]

    def set_up(self, connection: Connection) -> None:
        """Execute the SQL before a permutation, and commit."""
        self._execute(connection, self.setup)

    def tear_down(self, connection: Connection) -> None:
        """Execute the SQL after a permutation, and commit."""
        self._execute(connection, (self.teardown,))

    def _execute(self, connection: Connection, texts: Sequence[str]) -> None:
        for sql in filter(str.strip, texts):
            # Else the drivers take a per cent for a parameter.
            connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        connection.commit()

    def run(self, permutation: Sequence[str]) -> "SpecRun":
        """Return the clients that execute the steps of a permutation, and the strategy that keeps its order.

        Raises: ConfigurationError, if there is no such step.
        """
        owners = {step: session for session in self.sessions for step in session.steps}
        if unknown := [step for step in permutation if step not in owners]:
            raise ConfigurationError(f"There is no step {unknown[0]} in the specification, but {', '.join(owners)}.")
        taking_part = dict.fromkeys(owners[step].name for step in permutation)
        lines = {
            session.name: _Line(session, tuple(step for step in permutation if step in session.steps))
            for session in self.sessions
            if session.name in taking_part
        }
        return SpecRun({name: line.run for name, line in lines.items()}, _InOrder(tuple(permutation), lines))


@dataclass(frozen=True)
class SpecRun:
    """One permutation: clients to spawn with an engine on psycopg or psycopg2, and the strategy to run them with.

    A client returns its steps' outcomes in order: the rows, the SQLSTATE of an error, or None.
    """

    clients: Mapping[str, Callable[[Engine], list[Any]]]
    strategy: "_InOrder"


@dataclass
class _Line:
    """The steps of one session in a permutation, and how many of them have ended."""

    session: Session
    steps: tuple[str, ...]
    ended: int = 0
    is_set_up: bool = False
    outcomes: list[Any] = field(default_factory=list)

    def run(self, engine: Engine) -> list[Any]:
        self.ended, self.is_set_up, self.outcomes = 0, False, []
        with engine.connect() as connection:
            # Not by SQLAlchemy: a step may be several statements, and begins and ends transactions itself.
            drivers: Any = connection.execution_options(isolation_level="AUTOCOMMIT").connection
            errors = engine.dialect.loaded_dbapi.Error
            self._execute(drivers, self.session.setup)
            self.is_set_up = True
            for step in self.steps:
                try:
                    self.outcomes.append(self._execute(drivers, self.session.steps[step]))
                except errors as error:
                    if drivers.closed:
                        raise
                    self.outcomes.append(sqlstate(error))
                self.ended += 1
            self._execute(drivers, self.session.teardown)
        return self.outcomes

    def _execute(self, drivers: Any, sql: str) -> list[Any] | None:
        """Execute some SQL; return the rows of its last statement that has any. Raises: the driver's errors."""
        if not sql.strip():
            return None
        found: list[Any] | None = None
        with closing(drivers.cursor()) as cursor:
            has_sets = isinstance(cursor, psycopg.Cursor)
            cursor.execute(sql, **({"prepare": False} if has_sets else {}))  # only one statement can be prepared
            while True:
                found = [tuple(row) for row in cursor.fetchall()] if cursor.description is not None else found
                if not has_sets or not cursor.nextset():
                    return found


class _InOrder:
    """The strategy of a permutation: the first of its steps that can go on does. A wait that is over comes first so."""

    def __init__(self, permutation: tuple[str, ...], lines: Mapping[str, _Line]) -> None:
        owners = {step: name for name, line in lines.items() for step in line.steps}
        self._lines = lines
        # A step may be in a permutation more than once: each time has its place among its session's steps.
        counts = dict.fromkeys(lines, 0)
        self._places: list[tuple[str, int]] = []
        for step in permutation:
            self._places.append((owners[step], counts[owners[step]]))
            counts[owners[step]] += 1

    def choose(self, point: ChoicePoint) -> int:
        """Return who goes on: sessions are set up first, and torn down last."""
        new = [name for name, line in self._lines.items() if not line.is_set_up and name in point.candidates]
        ahead = [name for name, place in self._places if name in point.candidates and place >= self._lines[name].ended]
        return point.candidates.index([*new, *ahead, *point.candidates][0])


def load(text: str) -> IsolationSpec:
    """Return the specification that a text describes. Raises: ConfigurationError, with the line, if it is none."""
    return _Reader(text).spec()


class _Reader:
    """Reads a specification, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._at = 0

    def _scan(self) -> Iterator[tuple[str, str, int]]:
        place = 0
        while place < len(self._text):
            found = _TOKEN.match(self._text, place)
            if found is None:
                raise self._wrong("what no specification has", place)
            if (kind := str(found.lastgroup)) != "space":
                yield kind, found[0], place
            place = found.end()

    def _wrong(self, what: str, place: int) -> ConfigurationError:
        line = self._text.count("\n", 0, place) + 1
        rest = self._text[place:].split("\n", 1)[0].strip()
        return ConfigurationError(f"Line {line} of the specification has {what}: {rest[:60] or 'its end'}.")

    def spec(self) -> IsolationSpec:
        """Read all of it."""
        setup = tuple(self._blocks("setup"))
        teardown = " ".join(self._blocks("teardown"))
        sessions = tuple(iter(self._session, None))
        written = tuple(iter(self._permutation, None))
        if self._peek() is not None:
            raise self._wrong("something in a wrong place", self._place())
        if not sessions:
            raise self._wrong("no session", 0)
        _require_distinct([step for one in sessions for step in one.steps])
        return IsolationSpec(
            setup, teardown, sessions, written or tuple(_interleaved([tuple(one.steps) for one in sessions]))
        )

    def _session(self) -> Session | None:
        if not self._takes("session"):
            return None
        name = self._name()
        setup = " ".join(self._blocks("setup"))
        steps: dict[str, str] = {}
        while self._takes("step"):
            step = self._name()
            steps[step] = self._sql()
        if not steps:
            raise self._wrong(f"no step in session {name}", self._place())
        return Session(name, setup, steps, " ".join(self._blocks("teardown")))

    def _permutation(self) -> tuple[str, ...] | None:
        if not self._takes("permutation"):
            return None
        found: list[str] = []
        while (token := self._peek()) is not None and token[0] in ("name", "quoted") and token[1] not in KEYWORDS:
            found.append(self._name())
            self._skip_markers()
        if not found:
            raise self._wrong("no step in a permutation", self._place())
        return tuple(found)

    def _skip_markers(self) -> None:
        """Skip what says when the tester reports a step: here a step is never reported before it has ended."""
        if (token := self._peek()) is None or token[1] != "(":
            return
        while (token := self._peek()) is not None:
            self._at += 1
            if token[1] == ")":
                return
        raise self._wrong("a parenthesis without an end", self._place())

    def _blocks(self, keyword: str) -> Iterator[str]:
        while self._takes(keyword):
            yield self._sql()

    def _sql(self) -> str:
        token = self._peek()
        if token is None or token[0] != "sql":
            raise self._wrong("no SQL in braces where one must be", self._place())
        self._at += 1
        return token[1][1:-1].strip()

    def _name(self) -> str:
        token = self._peek()
        if token is None or token[0] not in ("name", "quoted"):
            raise self._wrong("no name where one must be", self._place())
        self._at += 1
        return token[1][1:-1].replace('""', '"') if token[0] == "quoted" else token[1]

    def _takes(self, keyword: str) -> bool:
        token = self._peek()
        if token is None or token[:2] != ("name", keyword):
            return False
        self._at += 1
        return True

    def _peek(self) -> tuple[str, str, int] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _place(self) -> int:
        token = self._peek()
        return token[2] if token is not None else len(self._text)


def _require_distinct(steps: Sequence[str]) -> None:
    for step in steps:
        if steps.count(step) > 1:
            raise ConfigurationError(f"Two steps of the specification have the name {step}.")


def _interleaved(left: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield all orders of the steps in which those of each session keep theirs."""
    if not any(left):
        yield ()
    for at, steps in enumerate(left):
        if steps:
            yield from ((steps[0], *rest) for rest in _interleaved([*left[:at], steps[1:], *left[at + 1 :]]))
