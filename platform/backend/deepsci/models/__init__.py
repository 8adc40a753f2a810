"""The tables. Importing this package registers all of them with `Base.metadata`."""

from deepsci.models.agents import Agent
from deepsci.models.base import Base
from deepsci.models.proposals import CausalEvent, Proposal, ProposalStatus, Validation, Verdict
from deepsci.models.worlds import World

__all__ = ["Agent", "Base", "CausalEvent", "Proposal", "ProposalStatus", "Validation", "Verdict", "World"]
