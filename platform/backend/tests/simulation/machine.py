"""The machine: all rules and invariants on one platform."""

from simulation.invariants.agents import AgentInvariants
from simulation.invariants.proposals import ProposalInvariants
from simulation.invariants.time import TimeInvariants
from simulation.invariants.validations import ValidationInvariants
from simulation.invariants.worlds import WorldInvariants
from simulation.rules.agents import AgentRules
from simulation.rules.history import HistoryRules
from simulation.rules.proposals import ProposalRules
from simulation.rules.time import TimeRules
from simulation.rules.validations import ValidationRules
from simulation.rules.worlds import WorldRules


class DeepSciFi(
    HistoryRules,
    AgentRules,
    ProposalRules,
    ValidationRules,
    WorldRules,
    TimeRules,
    AgentInvariants,
    ProposalInvariants,
    ValidationInvariants,
    WorldInvariants,
    TimeInvariants,
):
    """Deep Sci-Fi, simulated."""
