"""What the platform must look like, kept by the simulation beside it.

The mirror knows the rules from the issue, not from the code: nothing here or in mirror/ imports deepsci. It predicts
what a request must do, and it knows who may do what, which is what the strategies choose from.
"""

import copy
from datetime import datetime
from typing import NamedTuple, Self

from simulation.agents.model import AgentMirror
from simulation.dwellers.dweller_actions_model import DeedMirror
from simulation.dwellers.model import ClaimMirror, DwellerMirror
from simulation.feedback.model import FeedbackMirror
from simulation.idempotency.model import IdempotencyMirror
from simulation.notifications.model import NotificationMirror
from simulation.proposals.model import ProposalMirror, ValidationMirror
from simulation.stories.model import ReviewMirror, StoryMirror
from simulation.worlds.model import RegionMirror, WorldMirror


class Threshold(NamedTuple):
    """An instant, and what changes then."""

    at: datetime
    changes: tuple[str, ...]


class StateMirror(  # a domain stands above those it builds on
    IdempotencyMirror,
    FeedbackMirror,
    ReviewMirror,
    StoryMirror,
    DeedMirror,
    ClaimMirror,
    DwellerMirror,
    RegionMirror,
    WorldMirror,
    ValidationMirror,
    ProposalMirror,
    NotificationMirror,
    AgentMirror,
):
    """The platform as it must be."""

    def copy(self) -> Self:
        """Return a mirror by the same clock, of which what happens next changes nothing here."""
        return copy.deepcopy(self, {id(self.clock): self.clock})

    def thresholds_ahead(self) -> list[Threshold]:
        """Return the instants that are to come, each of them once, the nearest first."""
        thresholds = self.thresholds()
        instants = sorted({at for at in thresholds.values() if at > self.now()})
        return [
            Threshold(instant, tuple(what for what, at in thresholds.items() if at == instant)) for instant in instants
        ]

    def called(self, key: object) -> str:
        """Return the key of a row, or its parts, with the names by which the steps of a run call them."""
        names = self.names_by_id()
        parts = key if isinstance(key, tuple) else (key,)
        return " ".join(f"{names[part]} ({part})" if part in names else str(part) for part in parts)
