"""Clean databases for tests and examples: lent, then rewound, or replaced where equality cannot be proved."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg

from pgdst.database.rewind.baseline import Baseline, read_baseline
from pgdst.database.rewind.reset import SETTINGS, Clone
from pgdst.database.template import Template
from pgdst.server.address import Server

MAINTENANCE = "postgres"
NUMBERS = itertools.count(1)  # of the clones that this process has made


class Databases:
    """Clones of a server's migrated database, each lent to one borrower at a time.

    A used clone is rewound to exactly the template's contents. Where it cannot be proved equal, it is dropped in the
    background, and the next borrower gets a new one; `given_up` counts the reasons.

    With `keep_last` the clone that was used last stays as it is until the next one is lent, and after the end: when a
    run stops at its first failure, it is the failure's database.
    """

    def __init__(self, server: Server, *, keep_last: bool = False) -> None:
        self.server = server
        self.keep_last = keep_last
        self._last: Clone | None = None
        self.given_up: Counter[str] = Counter()
        self._template = Template(server, server.with_database(MAINTENANCE).connect())
        self._template.make()
        self._baseline: Baseline | None = None
        self._idle: list[Clone] = []
        self._lent: dict[str, Clone] = {}  # by the names of their databases
        self._dropper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pgdst-drop")
        self._drops: list[Future[None]] = []

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Yield the SQLAlchemy URL of a database with exactly the template's contents, for this block alone.

        Sessions that are still open in it at the end are terminated.

        Raises: SharedStateError at the end where state that all databases share, such as a role, was changed.
        """
        self._take_back_last()
        clone = self._idle.pop() if self._idle else self._new()
        self._lent[clone.server.database] = clone
        try:
            yield clone.server.url
        finally:
            clone = self._lent.pop(clone.server.database)
            self._take_back_last()
            if self.keep_last:
                self._last = clone
                self._require_shared_unchanged(clone)
            else:
                self._take_back(clone)

    def lent(self, name: str) -> Clone | None:
        """Return the clone that is lent under this name of a database, if one is."""
        return self._lent.get(name)

    def rewind_lent(self, name: str) -> None:
        """Bring a lent clone back to what it was when it was lent.

        Raises: ServerNotReadyError, where sessions are still in it: none is terminated.
        """
        try:
            different = bool(self._lent[name].rewind(beside=0))
        except psycopg.OperationalError:  # a server that has crashed has ended our session
            different = True
        if different:
            self.renew(name)

    def rebase(self, name: str, beside: int) -> Clone:
        """Take what a lent clone contains now for what it is rewound to, until it is brought back and dropped.

        Nobody but `beside` idle sessions is connected to it.
        """
        clone = self._lent[name]
        clone.close()
        rebased = self._lent[name] = self._watched(clone.server, None, beside)
        rebased.is_the_templates = False
        return rebased

    def renew(self, name: str) -> None:
        """Drop a lent clone, with whoever is connected to it, and lend a new one under the same name."""
        clone = self._lent[name]
        clone.close()
        _drop(self.server, name)
        self._make_clone(name)
        self._lent[name] = self._watched(clone.server, self._baseline)

    @property
    def last(self) -> Server | None:
        """The clone that is kept as it was used last, if one is."""
        return self._last.server if self._last else None

    def close(self) -> None:
        """Drop all clones but one that is kept; it and the template go with their server.

        Raises: the error of a drop that failed.
        """
        if self._last:
            self._last.close()
        while self._idle:
            self._give_up(self._idle.pop())
        self._dropper.shutdown(wait=True)
        self._template.connection.close()
        for drop in self._drops:
            drop.result()

    def _new(self) -> Clone:
        name = f"{self.server.database}_{os.getpid()}_{next(NUMBERS)}"
        self._make_clone(name)
        try:
            clone = self._watched(self.server.with_database(name), self._baseline)
        except BaseException:
            self._drop(name)
            raise
        self._baseline = clone.baseline
        return clone

    def _make_clone(self, name: str) -> None:
        try:
            self._template.clone(name)
        except psycopg.OperationalError:
            if not self._template.connection.broken:
                raise
            # A server that crashed and recovered has the template still, and ended our session.
            self._template = Template(self.server, self.server.with_database(MAINTENANCE).connect())
            self._template.clone(name)

    def _watched(self, server: Server, baseline: Baseline | None, beside: int = 0) -> Clone:
        connection = server.connect()
        try:
            connection.execute(SETTINGS)
            connection.cursor_factory, connection.prepare_threshold = psycopg.RawCursor, 0
            return Clone(server, connection, baseline or read_baseline(connection), beside=beside)
        except BaseException:
            connection.close()
            raise

    def _require_shared_unchanged(self, clone: Clone) -> None:
        try:
            clone.require_shared_unchanged()
        except psycopg.OperationalError:
            if not clone.connection.broken:
                raise  # else the server has crashed, and recovered or not, which is not for us to say

    def _take_back_last(self) -> None:
        last, self._last = self._last, None
        if last:
            self._take_back(last)

    def _take_back(self, clone: Clone) -> None:
        kept = False
        try:
            different = clone.rewind()
            self.given_up.update(different)
            kept = not different and clone.is_the_templates
        except psycopg.Error as error:  # a trigger that forbids deleting, a session of ours that was ended, …
            self.given_up[f"it could not be rewound: {type(error).__name__}"] += 1
        finally:
            if kept:
                self._idle.append(clone)
            else:
                self._give_up(clone)

    def _give_up(self, clone: Clone) -> None:
        clone.close()
        self._drop(clone.server.database)

    def _drop(self, name: str) -> None:
        self._drops.append(self._dropper.submit(_drop, self.server, name))


def _drop(server: Server, name: str) -> None:
    with server.with_database(MAINTENANCE).connect() as connection:
        Template(server, connection).drop(name)
