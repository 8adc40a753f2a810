"""Where `explore` finds the run's databases: pytest's plugin says so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pgdst.database.databases import Databases
from pgdst.errors import ConfigurationError
from pgdst.simulation.gate.server_processes import ServerProcesses, server_processes_of


@dataclass
class Context:
    """The databases that tests are lent, and the server's processes, which are observed from the first use on."""

    databases: Databases
    opened: ExitStack
    _processes: list[ServerProcesses] = field(default_factory=list)

    @property
    def processes(self) -> ServerProcesses:
        """The server processes of the databases' server."""
        if not self._processes:
            self._processes.append(self.opened.enter_context(server_processes_of(self.databases.server)))
        return self._processes[0]

    def require_lent(self, name: str) -> None:
        """Raise ConfigurationError, unless the database of this name is lent to a test."""
        if self.databases.lent(name) is None:
            raise ConfigurationError(
                f"The engine leads to the database {name!r}, which the kit has not lent to this test, so it cannot be "
                "rewound. Make the engine with the URL of the fixture `database`."
            )


_contexts: list[Context] = []


@contextmanager
def exploring(databases: Databases) -> Iterator[Context]:
    """Let `explore` use these databases, for this block."""
    with ExitStack() as opened:
        _contexts.append(Context(databases, opened))
        try:
            yield _contexts[-1]
        finally:
            _contexts.pop()


def current() -> Context:
    """Return the context of the present test. Raises: ConfigurationError, where there is none."""
    if not _contexts:
        raise ConfigurationError(
            "explore needs a database that the kit has lent. Give the test the fixture `database`, or call it within "
            "`clean_databases.lend()`."
        )
    return _contexts[-1]
