"""Bugs around drafting, submitting and revising."""

from typing import Any

from deepsci import errors
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Proposal, ProposalStatus, Validation, Verdict, World
from deepsci.proposals import service as proposals
from deepsci.rows import get_row
from sqlalchemy import func, select, text

from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("P1")
def long_premises_are_cut(patch: plant.Patch) -> None:
    """Ten characters are enough for anybody."""
    plant.after(patch, proposals, "draft", "UPDATE proposals SET premise = left(premise, 10)")


@plant.found_by("P2")
def events_are_numbered_in_tens(patch: plant.Patch) -> None:
    """Room for later insertions, which nobody asked for; the order stays."""
    plant.after(patch, proposals, "draft", "UPDATE causal_events SET position = position * 10 WHERE position < 10")


@plant.followed("P3", proposals, "submit")
def submitting_one_draft_submits_all() -> str:
    """An UPDATE whose WHERE names the author and not the proposal."""
    return (
        "UPDATE proposals SET status = 'validating', submitted_at = other.submitted_at FROM proposals other "
        "WHERE proposals.author_id = other.author_id AND proposals.status = 'draft' AND other.status = 'validating'"
    )


@plant.wrapping("P4", proposals, "decide")
def rejected_proposals_leave_a_draft(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
    """A copy for the author to work on, which nobody asked for and the cap was not asked about."""
    world = original(session, ids, proposal, validation)
    if proposal.status == ProposalStatus.REJECTED:
        copy = (
            "INSERT INTO proposals (id, author_id, premise, year, status, revision, created_at) "
            "SELECT gen_random_uuid(), author_id, premise, year, 'draft', 1, decided_at "
            "FROM proposals WHERE id = :id"
        )
        session.execute(text(copy), {"id": proposal.id})
    return world


@plant.followed("P5", proposals, "revise")
def a_revision_counts_for_whatever_its_author_has_open() -> str:
    """An UPDATE whose WHERE names the author and not the proposal."""
    return (
        "UPDATE proposals SET revision = proposals.revision + 1, revised_at = other.revised_at FROM proposals other "
        "WHERE proposals.author_id = other.author_id AND proposals.id <> other.id AND other.revised_at IS NOT NULL"
    )


# Found by the forbidden moves.


@plant.found_by("draft_a_year_that_is_no_future")
def this_year_is_the_future(patch: plant.Patch) -> None:
    """Off by one, and noticed only by who tries this very year."""
    rule = "refuse_year_not_in_the_future"
    plant.within(patch, proposals, "draft", rule, lambda original, year, now: original(year + 1, now))


@plant.found_by("draft_something_malformed")
def drafts_are_mended(patch: plant.Patch) -> None:
    """A kind proxy takes out what the platform does not know, and makes numbers of digits."""
    plant.tolerate(patch, "/proposals", mended_draft)


def mended_draft(body: Any) -> Any:
    """Return a draft without unknown fields, and its year as a number."""
    if not isinstance(body, dict):
        return body
    known = {key: body[key] for key in ("premise", "year", "chain") if key in body}
    return known | {"year": int(known["year"])}


@plant.wrapping("submit_a_proposal_twice", proposals, "refuse_unless_draft")
def submitting_again_is_taken_for_a_retry(original: Any, proposal: Any) -> None:
    """What is validating is submitted once more."""
    if proposal.status != ProposalStatus.VALIDATING:
        original(proposal)


@plant.wrapping("read_an_unknown_proposal", proposals, "get_proposal")
def a_proposal_is_found_by_its_world_too(original: Any, session: Any, proposal_id: Any) -> Any:
    """A lookup that wanted to be helpful."""
    world = session.get(World, proposal_id)
    return original(session, proposal_id if world is None else world.proposal_id)


@plant.wrapping("read_a_proposal_by_what_is_no_id", errors, "_answer_validation_error")
async def what_is_no_id_is_not_found(original: Any, request: Any, error: Any) -> Any:
    """A malformed path is answered like an unknown one."""
    if error.errors()[0]["loc"][0] == "path":
        return await errors._answer_api_error(request, ApiError(ErrorCode.PROPOSAL_NOT_FOUND, "There is none."))
    return await original(request, error)


# Found by the forbidden moves.


@plant.wrapping("revise_what_nobody_wants_strengthened", proposals, "count_wishes")
def one_wish_is_good_for_any_number_of_revisions(_original: Any, session: Any, proposal: Any) -> Any:
    """Which revision it was about is not looked at."""
    query = select(func.count()).where(Validation.proposal_id == proposal.id, Validation.verdict == Verdict.STRENGTHEN)
    return session.execute(query).scalar_one()


@plant.found_by("revise_a_draft")
def drafts_may_be_revised(patch: plant.Patch) -> None:
    """Only decided proposals are refused."""
    may_be_revised_when(patch, ProposalStatus.DRAFT)


@plant.found_by("revise_a_decided_proposal")
def approved_proposals_may_be_revised(patch: plant.Patch) -> None:
    """Only rejected ones are final."""
    may_be_revised_when(patch, ProposalStatus.APPROVED)


def may_be_revised_when(patch: plant.Patch, status: ProposalStatus) -> None:
    """Let revisions of proposals of one more status through, asked for or not."""

    def refuse(original: Any, *arguments: Any) -> None:
        if arguments[-1].status != status:
            original(*arguments)

    plant.within(patch, proposals, "revise", "refuse_unless_validating", refuse)
    plant.within(patch, proposals, "revise", "refuse_unless_asked_for", refuse)


@plant.found_by("revise_into_something_malformed")
def revisions_are_mended(patch: plant.Patch) -> None:
    """The kind proxy again."""
    plant.tolerate(patch, "/revise", mended_draft)


# Bugs that say all by their names.

# What was submitted is forgotten.
plant.bug(
    "draft_a_fourth_open_proposal",
    "only_drafts_count_as_open",
    plant.replaced(proposals, "OPEN_STATUSES", (ProposalStatus.DRAFT,)),
)
# Off by one.
plant.bug(
    "draft_a_chain_that_is_too_short", "two_events_make_a_chain", plant.replaced(proposals, "MIN_CHAIN_EVENTS", 2)
)
# The middle is not looked at.
plant.bug(
    "draft_a_chain_out_of_order",
    "only_the_ends_of_a_chain_are_compared",
    plant.relaxed(proposals, "pairwise", lambda _original, chain: [(chain[0], chain[-1])], of="draft"),
)
# Off by one.
plant.bug(
    "draft_a_chain_that_ends_after_its_future",
    "chains_may_end_a_year_late",
    plant.relaxed(proposals, "refuse_bad_chain", lambda original, chain, year: original(chain, year + 1), of="draft"),
)
plant.bug("draft_while_dormant", "the_dormant_may_draft", plant.left_out(proposals, "refuse_dormant", of="draft"))
plant.bug("submit_while_dormant", "the_dormant_may_submit", plant.left_out(proposals, "refuse_dormant", of="submit"))
plant.bug(
    "submit_somebody_elses_proposal",
    "anybody_may_submit",
    plant.left_out(proposals, "refuse_unless_author", of="submit"),
)
plant.bug(
    "revise_somebody_elses_proposal",
    "anybody_may_revise",
    plant.left_out(proposals, "refuse_unless_author", of="revise"),
)
# It was good once.
plant.bug(
    "revise_with_a_bad_chain",
    "the_chain_of_a_revision_is_not_looked_at",
    plant.left_out(proposals, "refuse_bad_chain", of="revise"),
)
# It was in the future once.
plant.bug(
    "revise_to_a_year_that_is_no_future",
    "the_year_of_a_revision_is_not_looked_at",
    plant.left_out(proposals, "refuse_year_not_in_the_future", of="revise"),
)
plant.bug("revise_while_dormant", "the_dormant_may_revise", plant.left_out(proposals, "refuse_dormant", of="revise"))
# An unknown proposal is answered like a foreign one.
plant.bug(
    "submit_an_unknown_proposal",
    "what_is_not_there_is_not_yours",
    plant.unknown_answered_as(proposals, "submit", Proposal, ErrorCode.NOT_THE_AUTHOR),
)
# An unknown proposal is answered like one that nobody wants strengthened.
plant.bug(
    "revise_an_unknown_proposal",
    "nobody_wants_to_strengthen_nothing",
    plant.unknown_answered_as(proposals, "revise", Proposal, ErrorCode.REVISION_NOT_ASKED_FOR),
)


# Found by the races.


@plant.found_by_race("submit_one_draft_at_once")
@plant.found_by_race("revise_one_proposal_at_once")
def proposals_are_not_locked(patch: plant.Patch) -> None:
    """What was read before somebody else changed it is changed again."""
    patch.setattr(proposals, "lock_proposal", lambda session, proposal_id: get_row(session, Proposal, proposal_id))


@plant.found_by_race("draft_beyond_the_cap_at_once")
def open_proposals_are_counted_before_the_lock(patch: plant.Patch) -> None:
    """Two that are each the third come to four."""

    def draft(original: Any, session: Any, clock: Any, ids: Any, author: Any, body: Any) -> Any:
        session.info["open before the lock"] = proposals.count_open(session, author)
        return original(session, clock, ids, author, body)

    def refuse_above_cap(session: Any, _author: Any) -> None:
        if session.info["open before the lock"] >= proposals.MAX_OPEN_PROPOSALS:
            raise ApiError(ErrorCode.TOO_MANY_OPEN_PROPOSALS, "You have enough open proposals.")

    plant.wrap(patch, proposals, "draft", draft)
    patch.setattr(proposals, "refuse_above_cap", refuse_above_cap)
