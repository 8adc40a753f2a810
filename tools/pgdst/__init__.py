"""Deterministic simulation testing of a backend on a real, throw-away Postgres 16.

The names here are what tests use. All others may change from one version to the next.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from pgdst.server.address import Server as Server
    from pgdst.simulation.backends import Backends as Backends
    from pgdst.simulation.client import Outcome as Outcome
    from pgdst.simulation.client import current_client as current_client
    from pgdst.simulation.clock import SimulatedClock as SimulatedClock
    from pgdst.simulation.concurrency import Concurrently as Concurrently
    from pgdst.simulation.examples import Examples as Examples
    from pgdst.simulation.faults import (
        DrawnFaults as DrawnFaults,
    )
    from pgdst.simulation.faults import (
        Fault as Fault,
    )
    from pgdst.simulation.faults import (
        Faults as Faults,
    )
    from pgdst.simulation.faults import (
        random_faults as random_faults,
    )
    from pgdst.simulation.ledger import Ledger as Ledger
    from pgdst.simulation.randomness import (
        SEED_ONLY as SEED_ONLY,
    )
    from pgdst.simulation.randomness import (
        SeededIds as SeededIds,
    )
    from pgdst.simulation.randomness import (
        acting_as as acting_as,
    )
    from pgdst.simulation.randomness import (
        only_examples as only_examples,
    )
    from pgdst.simulation.result import Result as Result
    from pgdst.simulation.result import Step as Step
    from pgdst.simulation.shards import Shard as Shard
    from pgdst.simulation.simulation import Simulation as Simulation
    from pgdst.simulation.sql_in_step import in_step as in_step
    from pgdst.simulation.strategy import (
        PCT as PCT,
    )
    from pgdst.simulation.strategy import (
        ChoicePoint as ChoicePoint,
    )
    from pgdst.simulation.strategy import (
        Drawn as Drawn,
    )
    from pgdst.simulation.strategy import (
        Exhaustive as Exhaustive,
    )
    from pgdst.simulation.strategy import (
        Schedule as Schedule,
    )
    from pgdst.simulation.strategy import (
        Strategy as Strategy,
    )
    from pgdst.simulation.strategy import (
        Uniform as Uniform,
    )
    from pgdst.simulation.trace import Trace as Trace

# Where they are. They are imported when they are asked for, as a command that needs none has to start quickly.
_PLACES = {
    "database.databases": ("Databases",),
    "errors": ("ConfigurationError", "ForeignServerError", "InconclusiveError", "PgdstError", "ScheduleError"),
    "server.address": ("Server",),
    "simulation.backends": ("Backends",),
    "simulation.client": ("Outcome", "current_client"),
    "simulation.clock": ("SimulatedClock",),
    "simulation.concurrency": ("Concurrently",),
    "simulation.examples": ("Examples",),
    "simulation.faults": ("DrawnFaults", "Fault", "Faults", "random_faults"),
    "simulation.ledger": ("Ledger",),
    "simulation.randomness": ("SEED_ONLY", "SeededIds", "acting_as", "only_examples"),
    "simulation.result": ("Result", "Step"),
    "simulation.shards": ("Shard",),
    "simulation.simulation": ("Simulation",),
    "simulation.sql_in_step": ("in_step",),
    "simulation.strategy": ("PCT", "ChoicePoint", "Drawn", "Exhaustive", "Schedule", "Strategy", "Uniform"),
    "simulation.trace": ("Trace",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}
__all__ = sorted(_MODULES)  # made of the one list


def __getattr__(name: str) -> Any:
    """Import a public name. Raises: AttributeError, where there is none such."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
