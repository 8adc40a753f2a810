"""Where `explore` finds the run's databases: pytest's plugin says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgdst.database.databases import Databases
from pgdst.errors import ConfigurationError

if TYPE_CHECKING:  # it would be imported at the start of each run of pytest
    from pgdst.simulation.gate.server_processes import ServerProcesses


@dataclass(frozen=True)
class Context:
    """The databases that tests are lent, and what returns their server's processes.

    `schedule` is to be run instead of a search, if there is one; `failed` is one that has failed before.
    """

    databases: Databases
    processes: "Callable[[], ServerProcesses]"
    schedule: str | None = None
    failed: str | None = None

    def require_lent(self, name: str) -> None:
        """Raise ConfigurationError, unless the database of this name is lent to a test."""
        if self.databases.lent(name) is None:
            raise ConfigurationError(
                f"The engine leads to the database {name!r}, which the kit has not lent to this test, so it cannot be "
                "rewound. Make the engine with the URL of the fixture `database`."
            )


_contexts: list[Context] = []
_failed: list[str | None] = []


@contextmanager
def exploring(
    databases: Databases, processes: "Callable[[], ServerProcesses]", schedule: str | None = None
) -> Iterator[None]:
    """Let `explore` use these databases, and run the schedule where one is given, for this block."""
    _contexts.append(Context(databases, processes, schedule))
    try:
        yield
    finally:
        _contexts.pop()


@contextmanager
def trying_first(schedule: str | None) -> Iterator[None]:
    """Let `explore` try a schedule that has failed before its search, for this block."""
    _failed.append(schedule)
    try:
        yield
    finally:
        _failed.pop()


def current() -> Context:
    """Return the context of the present test. Raises: ConfigurationError, where there is none."""
    if not _contexts:
        raise ConfigurationError(
            "explore needs a database that the kit has lent. Give the test the fixture `database`, or call it within "
            "`clean_databases.lend()`."
        )
    return replace(_contexts[-1], failed=_failed[-1] if _failed else None)
