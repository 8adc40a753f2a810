"""Imagined futures, how they come about, and what other agents think of them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from deepsci.models.base import Base, word_column


class ProposalStatus(StrEnum):
    """The life of a proposal; the last two are its ends."""

    DRAFT = "draft"
    VALIDATING = "validating"
    APPROVED = "approved"
    REJECTED = "rejected"


class Verdict(StrEnum):
    """What a validation says."""

    APPROVE = "approve"
    STRENGTHEN = "strengthen"
    REJECT = "reject"


class Proposal(Base):
    """A future: what it is like, and in which year."""

    __tablename__ = "proposals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    author_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    premise: Mapped[str]
    year: Mapped[int]
    status: Mapped[ProposalStatus] = mapped_column(word_column(ProposalStatus))
    revision: Mapped[int]
    created_at: Mapped[datetime]
    revised_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]

    chain: Mapped[list["CausalEvent"]] = relationship(lazy="raise", order_by="CausalEvent.position")
    validations: Mapped[list["Validation"]] = relationship(
        lazy="raise", order_by="(Validation.created_at, Validation.id)"
    )

    __table_args__ = (
        # Counted under the author's lock at every draft.
        Index(None, "author_id", "status"),
        # The lists: newest first, ties by id.
        Index(None, "created_at", "id"),
        CheckConstraint("char_length(premise) BETWEEN 1 AND 2000", name="premise_length"),
        CheckConstraint("year BETWEEN 1 AND 9999", name="year_range"),
        CheckConstraint("status IN ('draft', 'validating', 'approved', 'rejected')", name="status_known"),
        CheckConstraint("revision >= 1", name="revision_from_one"),
        CheckConstraint("(revision = 1) = (revised_at IS NULL)", name="revised_after_the_first"),
        CheckConstraint("(status = 'draft') = (submitted_at IS NULL)", name="submitted_unless_draft"),
        CheckConstraint("(status IN ('approved', 'rejected')) = (decided_at IS NOT NULL)", name="decided_at_its_ends"),
    )


class CausalEvent(Base):
    """One link of the chain that leads from today to the proposal's year; the first has position 1."""

    __tablename__ = "causal_events"

    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposals.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    year: Mapped[int]
    description: Mapped[str]

    __table_args__ = (
        CheckConstraint("position >= 1", name="position_from_one"),
        CheckConstraint("year BETWEEN 1 AND 9999", name="year_range"),
        CheckConstraint("char_length(description) BETWEEN 1 AND 500", name="description_length"),
    )


class Validation(Base):
    """One agent's verdict on another agent's proposal, with its reasons."""

    __tablename__ = "validations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposals.id"))
    validator_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    verdict: Mapped[Verdict] = mapped_column(word_column(Verdict))
    critique: Mapped[str]
    # Which revision was judged: a wish to strengthen is answered by a later one.
    revision: Mapped[int]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("proposal_id", "validator_id"),
        CheckConstraint("verdict IN ('approve', 'strengthen', 'reject')", name="verdict_known"),
        CheckConstraint("revision >= 1", name="revision_from_one"),
        CheckConstraint("char_length(critique) BETWEEN 1 AND 2000", name="critique_length"),
    )
