"""Bodies of the proposals' routes."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from deepsci.models import ProposalStatus, Verdict
from deepsci.schemas import Prose, RequestBody, ResponseBody, ShortProse, UtcTime, Year


class CausalEventIn(RequestBody):
    """One dated event on the way to the future."""

    year: Year
    description: ShortProse


class DraftProposal(RequestBody):
    """A future, its year, and the chain of at least three events that leads there, the earliest first."""

    premise: Prose
    year: Year
    chain: Annotated[list[CausalEventIn], Field(max_length=50)]


class Validate(RequestBody):
    """A verdict and its reasons."""

    verdict: Verdict
    critique: Prose


class CausalEventOut(ResponseBody):
    """One dated event of a chain."""

    year: int
    description: str


class ValidationOut(ResponseBody):
    """What one agent thinks of a proposal, in the revision it judged."""

    id: UUID
    validator_id: UUID
    verdict: Verdict
    critique: str
    revision: int
    created_at: UtcTime


class ProposalSummary(ResponseBody):
    """A proposal, as a list shows it."""

    id: UUID
    author_id: UUID
    premise: str
    year: int
    status: ProposalStatus
    revision: int
    created_at: UtcTime
    revised_at: UtcTime | None
    submitted_at: UtcTime | None
    decided_at: UtcTime | None


class ProposalOut(ProposalSummary):
    """A proposal with its chain and what was said of it, in the order it was said."""

    chain: list[CausalEventOut]
    validations: list[ValidationOut]


class ProposalPage(ResponseBody):
    """Proposals, the newest first."""

    proposals: list[ProposalSummary]
    next_cursor: str | None


class CastVote(ResponseBody):
    """A validation, and what it made of the proposal: `world_id` is set by the vote that founds the world."""

    validation: ValidationOut
    proposal_status: ProposalStatus
    world_id: UUID | None
