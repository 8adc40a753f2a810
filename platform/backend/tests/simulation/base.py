"""What every rule and invariant of Deep Sci-Fi stands on."""

from simulation.actions.agents import AgentActions
from simulation.actions.claims import ClaimActions
from simulation.actions.deeds import DeedActions
from simulation.actions.dwellers import DwellerActions
from simulation.actions.feedback import FeedbackActions
from simulation.actions.idempotency import IdempotencyActions
from simulation.actions.lists import ListActions
from simulation.actions.notifications import NotificationActions
from simulation.actions.proposals import ProposalActions
from simulation.actions.regions import RegionActions
from simulation.actions.reviews import ReviewActions
from simulation.actions.stories import StoryActions
from simulation.actions.validations import ValidationActions
from simulation.in_a_storm import InAStorm


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
