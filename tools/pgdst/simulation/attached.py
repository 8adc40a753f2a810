"""SQLAlchemy engines that are attached to a simulation: what is the same wherever their connections have their gate."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, NullPool, QueuePool, event

from pgdst.errors import ConfigurationError
from pgdst.simulation import pool
from pgdst.simulation.clock import SimulatedClock
from pgdst.simulation.gate.drivers import DRIVERS
from pgdst.simulation.renewal import Idle

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # needs greenlet, which only its users have


def synchronous_side(engine: Any) -> Engine:
    """Return the engine that has the pool. Raises: ConfigurationError, where it can't be used."""
    found = engine
    while hasattr(found, "_proxied"):  # an asynchronous engine, or one with execution options of its own
        found = found._proxied
    if not isinstance(found, Engine):
        raise ConfigurationError(f"What is attached is an engine, found {type(engine).__name__}. Give create_engine's.")
    if found.dialect.name != "postgresql" or found.dialect.driver not in DRIVERS:
        raise ConfigurationError(
            f"The engine uses {found.dialect.name}+{found.dialect.driver}, which has no gate. "
            f"Make it with postgresql+ and one of {', '.join(DRIVERS)}."
        )
    if not isinstance(found.pool, QueuePool | NullPool):
        raise ConfigurationError(
            f"The engine's pool is a {type(found.pool).__name__}, whose connections clients would share or find in one "
            "run and not in the next. Make it with the usual pool, or with NullPool."
        )
    return found


class Attached(ABC):
    """An engine whose connections have a gate."""

    def __init__(
        self,
        engine: "Engine | AsyncEngine",
        refuse_others: Callable[[], None],
        in_a_loop: pool.InALoop | None = None,
    ) -> None:
        self.engine = engine
        self._synchronous = synchronous_side(engine)
        self._refuse_others = refuse_others
        self._in_a_loop = in_a_loop
        self._listeners: int | None = None  # how many there were when it was looked what they do
        self._is_prepared = False
        self._recycle = self._synchronous.pool._recycle
        self._resources = ExitStack()

    def _give_gates(self, clock: SimulatedClock, listeners: Mapping[str, Callable[..., Any]]) -> None:
        """Let new connections have a gate, by listeners to SQLAlchemy's events; close those that there are.

        Raises: ConfigurationError, where they can't have one.
        """
        pool.dispose(self.engine, self._in_a_loop)
        # A client may dispose of the engine, which has another pool then.
        for name, function in {**listeners, "engine_disposed": lambda one: pool.own_waits(one, clock)}.items():
            event.listen(self._synchronous, name, function)
            self._resources.callback(event.remove, self._synchronous, name, function)
        try:
            if not self._has_gate(pool.warm_up(self.engine, self._in_a_loop)):
                raise ConfigurationError(
                    "The engine makes its connections itself, by a `creator`, so they have no gate. Make it from a URL."
                )
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _has_gate(self, connection: object) -> bool:
        """Tell whether a driver's connection, the last that was made, has one."""

    @abstractmethod
    def idle(self) -> list[Idle]:
        """Return the connections that nobody uses."""

    @abstractmethod
    def sort(self, places: Mapping[int, int]) -> None:
        """Let connections be handed out in the order of the places of their processes."""

    @abstractmethod
    def _look_whether_prepared(self) -> bool:
        """Tell whether somebody has set something in the one new session that there is."""

    @property
    def has_pool(self) -> bool:
        """Return whether the engine keeps connections."""
        return pool.has_pool(self.engine)

    def is_whole(self, connections: int) -> bool:
        """Return whether the pool has so many idle connections, which may be used again."""
        return pool.is_whole(self.engine, connections) and not self._is_prepared

    def fill(self, connections: int) -> None:
        """Open so many connections anew."""
        self.dispose()
        if self._listeners != pool.listeners(self.engine):
            self._listeners = pool.listeners(self.engine)
            pool.fill(self.engine, 1, self._in_a_loop)
            self._is_prepared = self._look_whether_prepared()
            self.dispose()
        pool.fill(self.engine, connections, self._in_a_loop)

    def dispose(self) -> None:
        """Close all connections that nobody uses; new ones have a gate."""
        pool.dispose(self.engine, self._in_a_loop)

    def close(self) -> None:
        """Close all connections that nobody uses; new ones have none."""
        self._resources.close()
        self._synchronous.pool._recycle = self._recycle
        pool.dispose(self.engine, self._in_a_loop)
