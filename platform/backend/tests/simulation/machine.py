"""The machine: all rules, clashes, invariants and demands of liveness on one platform."""

from typing import Final

from simulation.agents.invariants import AgentInvariants
from simulation.agents.races import AgentClashes
from simulation.agents.rules import AgentRules
from simulation.dwellers.dweller_actions_rules import DeedRules
from simulation.dwellers.invariants import DeedInvariants, DwellerInvariants
from simulation.dwellers.liveness import ClaimLiveness
from simulation.dwellers.races import ClaimClashes, DeedClashes
from simulation.dwellers.rules import ClaimRules, DwellerRules
from simulation.engine.checks import moves_of
from simulation.fault_runs.rules import StormRules
from simulation.feedback.invariants import FeedbackInvariants
from simulation.feedback.races import FeedbackClashes
from simulation.feedback.rules import FeedbackRules
from simulation.history.rules import HistoryRules
from simulation.idempotency.invariants import IdempotencyInvariants
from simulation.idempotency.races import IdempotencyClashes
from simulation.idempotency.rules import IdempotencyRules
from simulation.notifications.invariants import NotificationInvariants
from simulation.notifications.liveness import NotificationLiveness
from simulation.notifications.races import NotificationClashes
from simulation.notifications.rules import NotificationRules
from simulation.proposals.invariants import ProposalInvariants, ValidationInvariants
from simulation.proposals.liveness import ProposalLiveness
from simulation.proposals.rules import ProposalRules, RevisionRules, ValidationRules
from simulation.stories.invariants import StoryInvariants
from simulation.stories.liveness import StoryLiveness
from simulation.stories.races import ReviewClashes
from simulation.stories.rules import ReviewRules, StoryRules
from simulation.time.invariants import TimeInvariants
from simulation.time.rules import TimeRules
from simulation.worlds.invariants import RegionInvariants, WorldInvariants
from simulation.worlds.rules import RegionRules, WorldRules


class DeepSciFi(
    HistoryRules,
    AgentRules,
    ProposalRules,
    RevisionRules,
    ValidationRules,
    WorldRules,
    RegionRules,
    DwellerRules,
    ClaimRules,
    DeedRules,
    StoryRules,
    ReviewRules,
    FeedbackRules,
    IdempotencyRules,
    NotificationRules,
    TimeRules,
    AgentClashes,
    ClaimClashes,
    DeedClashes,
    ReviewClashes,
    FeedbackClashes,
    IdempotencyClashes,
    NotificationClashes,
    AgentInvariants,
    ProposalInvariants,
    ValidationInvariants,
    WorldInvariants,
    RegionInvariants,
    DwellerInvariants,
    DeedInvariants,
    NotificationInvariants,
    StoryInvariants,
    FeedbackInvariants,
    IdempotencyInvariants,
    TimeInvariants,
    ProposalLiveness,
    ClaimLiveness,
    NotificationLiveness,
    StoryLiveness,
):
    """Deep Sci-Fi, simulated."""


class DeepSciFiInStorms(StormRules, DeepSciFi):
    """Deep Sci-Fi under faults: nothing but storms, and time that passes between them; all invariants look on."""


# By the tests that run them.
MACHINES: Final = {
    "test_no_sequence_of_moves_breaks_the_platform": DeepSciFi,
    "test_no_storm_breaks_the_platform": DeepSciFiInStorms,
}

for _move in set(moves_of(DeepSciFi)) - {"let_time_pass", "send_a_heartbeat"}:
    setattr(DeepSciFiInStorms, _move, None)
