"""What each client's statements touch, as Postgres's locks show it: which steps of clients can be swapped."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pgdst.simulation.clients.yield_points import BEGINS, CHECKOUT
from pgdst.simulation.strategies.strategy import ChoicePoint

# What is locked, and whether it is more than read.
Touched = frozenset[tuple[str, bool]]
_NOTHING: Touched = frozenset()
_ENDS: Final = ("COMMIT", "ROLLBACK")
# What gives locks back within the transaction, or reaches others without a lock.
_HIDES: Final = re.compile(
    r"\s*(SAVEPOINT\b|DO\b.*\bEXCEPTION\b|.*\bpg_(terminate|cancel)_backend\b)", re.IGNORECASE | re.DOTALL
)


@dataclass
class _Transaction:
    """The session of a transaction, its first statement, and what it has locked."""

    pid: int | None
    first: str
    touched: Touched


class Footprints:
    """The relations and advisory locks that clients were seen to lock.

    `locks(client)` returns the pid of the session that the client used last, and what that locks now. A statement is
    known by its client and its text. Its locks are seen only within a transaction, and not apart from those of the
    statements before it. So its footprint is all that the transaction has locked by then. A transaction's first
    statement may take the snapshot for all of them; it has the footprint of the whole transaction.

    Where that is not certain, the client may conflict with all others: a statement that locks no relation or commits by
    itself, a savepoint, a block that catches errors, a signal, and a second connection within a transaction.

    `version` counts what was learned: what a client does in one run only may conflict with what others did before.
    `share_a_pool` says that a pool was seen to have no connection left: then whoever begins may take the last one.
    """

    version = 0
    share_a_pool = False

    def __init__(self, locks: Callable[[str], tuple[int | None, Touched]]) -> None:
        self._locks = locks
        self._seen: dict[tuple[str, str], Touched] = {}
        self._all: dict[str, Touched] = defaultdict(frozenset)
        self._unknown: set[str] = set()  # clients with a statement whose locks were never seen
        self._open: dict[str, _Transaction] = {}  # by client

    def see(self, client: str, statement: str) -> None:
        """Look at what a client locks, which has just executed a statement."""
        if statement == BEGINS:
            self._add(client, statement, _NOTHING)
            return
        if statement == CHECKOUT and not self.share_a_pool:
            self.share_a_pool = True
            self.version += 1
        pid, touched = self._locks(client)
        if statement in _ENDS:  # what is locked now may be the next transaction's
            ended = self._open.pop(client, None)
            self._add(client, statement, ended.touched) if ended else self._do_not_know(client)
            return
        begun = self._open.setdefault(client, _Transaction(pid, statement, touched))
        is_seen = any(what.startswith("relation") for what, _ in touched)
        if not is_seen or pid != begun.pid or _HIDES.match(statement):
            self._do_not_know(client)
            return
        begun.touched = touched
        for one in (statement, begun.first):
            self._add(client, one, touched)

    def begin_run(self) -> None:
        """Forget the transactions of the run before."""
        self._open.clear()

    def _do_not_know(self, client: str) -> None:
        self.version += client not in self._unknown
        self._unknown.add(client)

    def may_conflict(self, client: str, statement: str, others: Iterable[str]) -> bool:
        """Return whether the client's next statement may not commute with some statement of the others."""
        touched = self._seen.get((client, statement))
        if touched is None or client in self._unknown:
            return True
        return any(self._conflict(touched, other) for other in others if other != client)

    def any_conflict(self, point: ChoicePoint) -> bool:
        """Return whether any two of the candidates may have statements that do not commute."""
        names = point.candidates
        if any(name in self._unknown or name not in self._all for name in names):
            return True
        return any(self._conflict(self._all[one], other) for one in names for other in names if one != other)

    def _add(self, client: str, statement: str, touched: Touched) -> None:
        before = self._seen.get((client, statement))
        self._seen[client, statement] = (before or _NOTHING) | touched
        self.version += before is None or not touched <= before
        self._all[client] |= touched

    def _conflict(self, touched: Touched, other: str) -> bool:
        if not touched:
            return False
        if other in self._unknown or other not in self._all:
            return True
        theirs = self._all[other]
        written = {what for what, writes in touched | theirs if writes}
        return bool(written & {what for what, _ in touched} & {what for what, _ in theirs})
