"""The base of the rules and invariants of all domains."""

from simulation.engine.fault_runs import FaultRuns
from simulation.engine.lists import Lists


class DeepSciFiBaseRules(Lists, FaultRuns):
    """The platform on a database of its own: requests one after another, at once and under faults, and expectations.

    The actions of a domain derive from this, or from those of a domain that it builds on; its rules, races, invariants
    and demands of liveness derive from its actions. `model` is annotated on the way with the domain's own model.
    """
