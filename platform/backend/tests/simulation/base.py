"""What every rule and invariant of Deep Sci-Fi stands on."""

from simulation.agents.actions import AgentActions
from simulation.dwellers.actions import ClaimActions, DeedActions, DwellerActions
from simulation.engine.fault_runs import InAStorm
from simulation.engine.lists import ListActions
from simulation.feedback.actions import FeedbackActions
from simulation.idempotency.actions import IdempotencyActions
from simulation.notifications.actions import NotificationActions
from simulation.proposals.actions import ProposalActions, ValidationActions
from simulation.stories.actions import ReviewActions, StoryActions
from simulation.worlds.actions import RegionActions


class DeepSciFiBaseRules(  # a domain stands above those it builds on
    IdempotencyActions,
    FeedbackActions,
    ReviewActions,
    StoryActions,
    DeedActions,
    ClaimActions,
    DwellerActions,
    RegionActions,
    ValidationActions,
    ProposalActions,
    NotificationActions,
    AgentActions,
    ListActions,
    InAStorm,
):
    """The platform on a database of its own, and the actions that rules wrap."""
