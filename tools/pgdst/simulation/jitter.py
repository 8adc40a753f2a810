"""Jitter: random real waits wherever the kit touches the world. They must not change any run.

A run's decisions may depend on events, never on their timing. A wait before and after each of these functions delays
something else each time: an answer, a signal, a thread, a query.
"""

import functools
import inspect
import time
from collections.abc import Callable
from importlib import import_module
from random import Random
from threading import Lock
from typing import Any, Final

LONGEST_SECONDS: Final = 0.020
# Only few points wait, and short waits are more frequent than long ones, so that usually only one thing is late.
PROBABILITY: Final = 0.08

# Each place where the kit touches the world: `module:function`, or `module:Class.method`, within pgdst.
POINTS: Final = (
    # Data is sent to the server and read from it.
    "simulation.gate.renewal:_in_all",
    "simulation.gate.proxy:Proxy.pump",
    "simulation.gate.proxy:Proxy.to_server",
    "simulation.gate.stream:received",
    "simulation.gate.stream:sent",
    "simulation.gate.session:Session.bury",
    # The observer's connection is used.
    "simulation.gate.server_processes:ServerProcesses.blockers",
    "simulation.gate.server_processes:ServerProcesses.cancel",
    "simulation.gate.server_processes:ServerProcesses.terminate",
    "simulation.gate.server_processes:ServerProcesses.wait_until_gone",
    # Signals: processes are stopped, let go on and killed.
    "server.processes:_Shell._request",
    # Stops inside statements.
    "simulation.gate.trigger_points:TriggerPoints.hold",
    "simulation.gate.trigger_points:TriggerPoints.let_pass",
    "simulation.gate.trigger_points:TriggerPoints.settle",
    # Connections are opened, closed and broken.
    "simulation.gate.server_processes:ServerProcesses._connect",
    "simulation.sqlalchemy.pool:_take",
    # Threads are woken, and wait for their turns.
    "simulation.clients.client:_Turn.give",
    "simulation.clients.client:_Turn.wait",
    "simulation.clients.client:Client._give_back",
    "simulation.scheduling.scheduler:Scheduler._take_turn_back",
    # The clock is set.
    "simulation.clients.clock:SimulatedClock._show",
    # Databases are lent, brought back and dropped.
    "database.databases:Databases._take_back",
    "database.databases:_drop",
)


def install(seed: int) -> None:
    """Make all points wait from now on, in this process, for times drawn from the seed."""
    waits = _Waits(seed)
    for point in POINTS:
        module, _, path = point.partition(":")
        owner: Any = import_module(f"pgdst.{module}")
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, _between_waits(getattr(owner, name), waits))


class _Waits:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # seeded random is the point
        self._lock = Lock()

    def wait(self) -> None:
        with self._lock:
            waits, share = self._random.random() < PROBABILITY, self._random.random()
        if waits:
            time.sleep(LONGEST_SECONDS * share**3)


def _between_waits(function: Callable[..., Any], waits: _Waits) -> Callable[..., Any]:
    assert not inspect.iscoroutinefunction(function), "the wait after it would come before the coroutine runs"

    @functools.wraps(function)
    def delayed(*arguments: Any, **options: Any) -> Any:
        waits.wait()
        try:
            return function(*arguments, **options)
        finally:
            waits.wait()

    return delayed
