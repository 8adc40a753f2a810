"""The machine: all rules, clashes, invariants and demands of liveness on one platform."""

from typing import Final

from simulation.checks import moves_of
from simulation.clashes.agents import AgentClashes
from simulation.clashes.claims import ClaimClashes
from simulation.clashes.deeds import DeedClashes
from simulation.clashes.feedback import FeedbackClashes
from simulation.clashes.idempotency import IdempotencyClashes
from simulation.clashes.notifications import NotificationClashes
from simulation.clashes.reviews import ReviewClashes
from simulation.invariants.agents import AgentInvariants
from simulation.invariants.deeds import DeedInvariants
from simulation.invariants.dwellers import DwellerInvariants
from simulation.invariants.feedback import FeedbackInvariants
from simulation.invariants.idempotency import IdempotencyInvariants
from simulation.invariants.notifications import NotificationInvariants
from simulation.invariants.proposals import ProposalInvariants
from simulation.invariants.regions import RegionInvariants
from simulation.invariants.stories import StoryInvariants
from simulation.invariants.time import TimeInvariants
from simulation.invariants.validations import ValidationInvariants
from simulation.invariants.worlds import WorldInvariants
from simulation.liveness.claims import ClaimLiveness
from simulation.liveness.notifications import NotificationLiveness
from simulation.liveness.proposals import ProposalLiveness
from simulation.liveness.stories import StoryLiveness
from simulation.rules.agents import AgentRules
from simulation.rules.claims import ClaimRules
from simulation.rules.deeds import DeedRules
from simulation.rules.dwellers import DwellerRules
from simulation.rules.feedback import FeedbackRules
from simulation.rules.history import HistoryRules
from simulation.rules.idempotency import IdempotencyRules
from simulation.rules.notifications import NotificationRules
from simulation.rules.proposals import ProposalRules
from simulation.rules.regions import RegionRules
from simulation.rules.reviews import ReviewRules
from simulation.rules.revisions import RevisionRules
from simulation.rules.stories import StoryRules
from simulation.rules.storms import StormRules
from simulation.rules.time import TimeRules
from simulation.rules.validations import ValidationRules
from simulation.rules.worlds import WorldRules


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
