"""Bugs around revising."""

from typing import Any

from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Proposal, ProposalStatus, Validation, Verdict
from deepsci.proposals import service as proposals
from sqlalchemy import func, select

from simulation_checks.planted_bugs.planting import Patch, found_by, tolerate, within, without, wrap
from simulation_checks.planted_bugs.proposals import mended_draft

# Found by the forbidden moves.


@found_by("revise_what_nobody_wants_strengthened")
def one_wish_is_good_for_any_number_of_revisions(patch: Patch) -> None:
    """Which revision it was about is not looked at."""

    def count_wishes(_original: Any, session: Any, proposal: Any) -> Any:
        query = select(func.count()).where(
            Validation.proposal_id == proposal.id, Validation.verdict == Verdict.STRENGTHEN
        )
        return session.execute(query).scalar_one()

    wrap(patch, proposals, "count_wishes", count_wishes)


@found_by("revise_a_draft")
def drafts_may_be_revised(patch: Patch) -> None:
    """Only decided proposals are refused."""
    may_be_revised_when(patch, ProposalStatus.DRAFT)


@found_by("revise_a_decided_proposal")
def approved_proposals_may_be_revised(patch: Patch) -> None:
    """Only rejected ones are final."""
    may_be_revised_when(patch, ProposalStatus.APPROVED)


def may_be_revised_when(patch: Patch, status: ProposalStatus) -> None:
    """Let revisions of proposals of one more status through, asked for or not."""

    def refuse(original: Any, *arguments: Any) -> None:
        if arguments[-1].status != status:
            original(*arguments)

    within(patch, proposals, "revise", "refuse_unless_validating", refuse)
    within(patch, proposals, "revise", "refuse_unless_asked_for", refuse)


@found_by("revise_somebody_elses_proposal")
def anybody_may_revise(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, proposals, "revise", "refuse_unless_author")


@found_by("revise_an_unknown_proposal")
def nobody_wants_to_strengthen_nothing(patch: Patch) -> None:
    """An unknown proposal is answered like one that nobody wants strengthened."""

    def revise(original: Any, session: Any, clock: Any, agent: Any, proposal_id: Any, body: Any) -> Any:
        if session.get(Proposal, proposal_id) is None:
            raise ApiError(ErrorCode.REVISION_NOT_ASKED_FOR, "Nobody has asked for it.")
        return original(session, clock, agent, proposal_id, body)

    wrap(patch, proposals, "revise", revise)


@found_by("revise_with_a_bad_chain")
def the_chain_of_a_revision_is_not_looked_at(patch: Patch) -> None:
    """It was good once."""
    without(patch, proposals, "revise", "refuse_bad_chain")


@found_by("revise_to_a_year_that_is_no_future")
def the_year_of_a_revision_is_not_looked_at(patch: Patch) -> None:
    """It was in the future once."""
    without(patch, proposals, "revise", "refuse_year_not_in_the_future")


@found_by("revise_into_something_malformed")
def revisions_are_mended(patch: Patch) -> None:
    """The kind proxy again."""
    tolerate(patch, "/revise", mended_draft)


@found_by("revise_while_dormant")
def the_dormant_may_revise(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, proposals, "revise", "refuse_dormant")
