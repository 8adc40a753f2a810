"""Deterministic simulation testing of a backend on a real, throw-away Postgres 16.

Tests use the names of this module. All other names may change in any version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgdst import isolation_spec as isolation_spec
    from pgdst.database.databases import Databases as Databases
    from pgdst.errors import (
        ConfigurationError as ConfigurationError,
    )
    from pgdst.errors import (
        ForeignServerError as ForeignServerError,
    )
    from pgdst.errors import (
        InconclusiveError as InconclusiveError,
    )
    from pgdst.errors import (
        PgdstError as PgdstError,
    )
    from pgdst.errors import (
        ScheduleError as ScheduleError,
    )
    from pgdst.pytest.shard import Shard as Shard
    from pgdst.server.address import Server as Server
    from pgdst.simulation.clients.client import Outcome as Outcome
    from pgdst.simulation.clients.client import current_client as current_client
    from pgdst.simulation.clients.clock import SimulatedClock as SimulatedClock
    from pgdst.simulation.clients.ids import (
        SeededIds as SeededIds,
    )
    from pgdst.simulation.clients.ids import (
        acting_as as acting_as,
    )
    from pgdst.simulation.coverage import Coverage as Coverage
    from pgdst.simulation.explore.explore import Explored as Explored
    from pgdst.simulation.explore.explore import FoundError as FoundError
    from pgdst.simulation.explore.explore import explore as explore
    from pgdst.simulation.faults.kinds import (
        Fault as Fault,
    )
    from pgdst.simulation.faults.plan import DrawnFaults as DrawnFaults
    from pgdst.simulation.faults.plan import Faults as Faults
    from pgdst.simulation.faults.plan import random_faults as random_faults
    from pgdst.simulation.gate.server_processes import ServerProcesses as ServerProcesses
    from pgdst.simulation.hypothesis.concurrently import Concurrently as Concurrently
    from pgdst.simulation.hypothesis.examples import Examples as Examples
    from pgdst.simulation.hypothesis.provider import SEED_ONLY as SEED_ONLY
    from pgdst.simulation.hypothesis.provider import only_examples as only_examples
    from pgdst.simulation.result import Result as Result
    from pgdst.simulation.simulation import Simulation as Simulation
    from pgdst.simulation.sql_clock import sql_clock as sql_clock
    from pgdst.simulation.step import Step as Step
    from pgdst.simulation.step import StepKind as StepKind
    from pgdst.simulation.strategies.bounded import Exhaustive as Exhaustive
    from pgdst.simulation.strategies.drawn import Drawn as Drawn
    from pgdst.simulation.strategies.pct import PCT as PCT
    from pgdst.simulation.strategies.schedule import Schedule as Schedule
    from pgdst.simulation.strategies.strategy import (
        ChoicePoint as ChoicePoint,
    )
    from pgdst.simulation.strategies.strategy import (
        Strategy as Strategy,
    )
    from pgdst.simulation.strategies.uniform import Uniform as Uniform
    from pgdst.simulation.trace import Trace as Trace

# The modules of the names. They are imported at first use, so that commands that need none start quickly.
_PLACES = {
    "database.databases": ("Databases",),
    "errors": ("ConfigurationError", "ForeignServerError", "InconclusiveError", "PgdstError", "ScheduleError"),
    "pytest.shard": ("Shard",),
    "server.address": ("Server",),
    "simulation.clients.client": ("Outcome", "current_client"),
    "simulation.clients.clock": ("SimulatedClock",),
    "simulation.clients.ids": ("SeededIds", "acting_as"),
    "simulation.coverage": ("Coverage",),
    "simulation.explore.explore": ("Explored", "FoundError", "explore"),
    "simulation.faults.kinds": ("Fault",),
    "simulation.faults.plan": ("DrawnFaults", "Faults", "random_faults"),
    "simulation.gate.server_processes": ("ServerProcesses",),
    "simulation.hypothesis.concurrently": ("Concurrently",),
    "simulation.hypothesis.examples": ("Examples",),
    "simulation.hypothesis.provider": ("SEED_ONLY", "only_examples"),
    "simulation.result": ("Result",),
    "simulation.simulation": ("Simulation",),
    "simulation.step": ("Step", "StepKind"),
    "simulation.sql_clock": ("sql_clock",),
    "simulation.strategies.bounded": ("Exhaustive",),
    "simulation.strategies.drawn": ("Drawn",),
    "simulation.strategies.pct": ("PCT",),
    "simulation.strategies.schedule": ("Schedule",),
    "simulation.strategies.strategy": ("ChoicePoint", "Strategy"),
    "simulation.strategies.uniform": ("Uniform",),
    "simulation.trace": ("Trace",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}
_WHOLE = ("isolation_spec",)  # modules that are public themselves
__all__ = sorted([*_MODULES, *_WHOLE])  # from the same lists


def __getattr__(name: str) -> Any:
    """Import a public name. Raises: AttributeError, if there is no such name."""
    if name in _WHOLE:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
