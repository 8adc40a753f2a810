"""The tables. Importing this package registers all of them with `Base.metadata`."""

from deepsci.models.agents import Agent
from deepsci.models.base import Base
from deepsci.models.dwellers import Action, Claim, ContextToken, Dweller, Ending
from deepsci.models.feedback import Feedback, Upvote
from deepsci.models.idempotency import IdempotentRequest
from deepsci.models.notifications import Inbox, Notification, NotificationKind
from deepsci.models.proposals import CausalEvent, Proposal, ProposalStatus, Validation, Verdict
from deepsci.models.stories import Review, Story
from deepsci.models.worlds import Region, World

__all__ = [
    "Action",
    "Agent",
    "Base",
    "CausalEvent",
    "Claim",
    "ContextToken",
    "Dweller",
    "Ending",
    "Feedback",
    "IdempotentRequest",
    "Inbox",
    "Notification",
    "NotificationKind",
    "Proposal",
    "ProposalStatus",
    "Region",
    "Review",
    "Story",
    "Upvote",
    "Validation",
    "Verdict",
    "World",
]
