"""Bugs around drafting, submitting and revising."""

from typing import Any

from deepsci import errors
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Proposal, ProposalStatus, Validation, Verdict, World
from deepsci.proposals import service as proposals
from deepsci.rows import get_row
from sqlalchemy import func, select, text

from simulation.engine.planting import Patch, after, found_by, found_by_race, tolerate, within, without, wrap

# Found by the invariants.


@found_by("P1")
def long_premises_are_cut(patch: Patch) -> None:
    """Ten characters are enough for anybody."""
    after(patch, proposals, "draft", "UPDATE proposals SET premise = left(premise, 10)")


@found_by("P2")
def events_are_numbered_in_tens(patch: Patch) -> None:
    """Room for later insertions, which nobody asked for; the order stays."""
    after(patch, proposals, "draft", "UPDATE causal_events SET position = position * 10 WHERE position < 10")


@found_by("P3")
def submitting_one_draft_submits_all(patch: Patch) -> None:
    """An UPDATE whose WHERE names the author and not the proposal."""
    after(
        patch,
        proposals,
        "submit",
        "UPDATE proposals SET status = 'validating', submitted_at = other.submitted_at FROM proposals other "
        "WHERE proposals.author_id = other.author_id AND proposals.status = 'draft' AND other.status = 'validating'",
    )


@found_by("P4")
def rejected_proposals_leave_a_draft(patch: Patch) -> None:
    """A copy for the author to work on, which nobody asked for and the cap was not asked about."""

    def decide(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
        world = original(session, ids, proposal, validation)
        if proposal.status == ProposalStatus.REJECTED:
            copy = (
                "INSERT INTO proposals (id, author_id, premise, year, status, revision, created_at) "
                "SELECT gen_random_uuid(), author_id, premise, year, 'draft', 1, decided_at "
                "FROM proposals WHERE id = :id"
            )
            session.execute(text(copy), {"id": proposal.id})
        return world

    wrap(patch, proposals, "decide", decide)


@found_by("P5")
def a_revision_counts_for_whatever_its_author_has_open(patch: Patch) -> None:
    """An UPDATE whose WHERE names the author and not the proposal."""
    after(
        patch,
        proposals,
        "revise",
        "UPDATE proposals SET revision = proposals.revision + 1, revised_at = other.revised_at FROM proposals other "
        "WHERE proposals.author_id = other.author_id AND proposals.id <> other.id AND other.revised_at IS NOT NULL",
    )


# Found by the forbidden moves.


@found_by("draft_a_fourth_open_proposal")
def only_drafts_count_as_open(patch: Patch) -> None:
    """What was submitted is forgotten."""
    patch.setattr(proposals, "OPEN_STATUSES", (ProposalStatus.DRAFT,))


@found_by("draft_a_chain_that_is_too_short")
def two_events_make_a_chain(patch: Patch) -> None:
    """Off by one."""
    patch.setattr(proposals, "MIN_CHAIN_EVENTS", 2)


@found_by("draft_a_chain_out_of_order")
def only_the_ends_of_a_chain_are_compared(patch: Patch) -> None:
    """The middle is not looked at."""
    within(patch, proposals, "draft", "pairwise", lambda _original, chain: [(chain[0], chain[-1])])


@found_by("draft_a_chain_that_ends_after_its_future")
def chains_may_end_a_year_late(patch: Patch) -> None:
    """Off by one."""
    within(patch, proposals, "draft", "refuse_bad_chain", lambda original, chain, year: original(chain, year + 1))


@found_by("draft_a_year_that_is_no_future")
def this_year_is_the_future(patch: Patch) -> None:
    """Off by one, and noticed only by who tries this very year."""
    rule = "refuse_year_not_in_the_future"
    within(patch, proposals, "draft", rule, lambda original, year, now: original(year + 1, now))


@found_by("draft_something_malformed")
def drafts_are_mended(patch: Patch) -> None:
    """A kind proxy takes out what the platform does not know, and makes numbers of digits."""
    tolerate(patch, "/proposals", mended_draft)


def mended_draft(body: Any) -> Any:
    """Return a draft without unknown fields, and its year as a number."""
    if not isinstance(body, dict):
        return body
    known = {key: body[key] for key in ("premise", "year", "chain") if key in body}
    return known | {"year": int(known["year"])}


@found_by("draft_while_dormant")
def the_dormant_may_draft(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, proposals, "draft", "refuse_dormant")


@found_by("submit_while_dormant")
def the_dormant_may_submit(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, proposals, "submit", "refuse_dormant")


@found_by("submit_somebody_elses_proposal")
def anybody_may_submit(patch: Patch) -> None:
    """A check that was left out."""
    without(patch, proposals, "submit", "refuse_unless_author")


@found_by("submit_a_proposal_twice")
def submitting_again_is_taken_for_a_retry(patch: Patch) -> None:
    """What is validating is submitted once more."""

    def refuse(original: Any, proposal: Any) -> None:
        if proposal.status != ProposalStatus.VALIDATING:
            original(proposal)

    wrap(patch, proposals, "refuse_unless_draft", refuse)


@found_by("submit_an_unknown_proposal")
def what_is_not_there_is_not_yours(patch: Patch) -> None:
    """An unknown proposal is answered like a foreign one."""

    def submit(original: Any, session: Any, clock: Any, agent: Any, proposal_id: Any) -> Any:
        if session.get(Proposal, proposal_id) is None:
            raise ApiError(ErrorCode.NOT_THE_AUTHOR, "Only its author can submit a proposal.")
        return original(session, clock, agent, proposal_id)

    wrap(patch, proposals, "submit", submit)


@found_by("read_an_unknown_proposal")
def a_proposal_is_found_by_its_world_too(patch: Patch) -> None:
    """A lookup that wanted to be helpful."""

    def get_proposal(original: Any, session: Any, proposal_id: Any) -> Any:
        world = session.get(World, proposal_id)
        return original(session, proposal_id if world is None else world.proposal_id)

    wrap(patch, proposals, "get_proposal", get_proposal)


@found_by("read_a_proposal_by_what_is_no_id")
def what_is_no_id_is_not_found(patch: Patch) -> None:
    """A malformed path is answered like an unknown one."""

    async def answer(original: Any, request: Any, error: Any) -> Any:
        if error.errors()[0]["loc"][0] == "path":
            return await errors._answer_api_error(request, ApiError(ErrorCode.PROPOSAL_NOT_FOUND, "There is none."))
        return await original(request, error)

    wrap(patch, errors, "_answer_validation_error", answer)


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


# Found by the races.


@found_by_race("submit_one_draft_at_once")
@found_by_race("revise_one_proposal_at_once")
def proposals_are_not_locked(patch: Patch) -> None:
    """What was read before somebody else changed it is changed again."""
    patch.setattr(proposals, "lock_proposal", lambda session, proposal_id: get_row(session, Proposal, proposal_id))


@found_by_race("draft_beyond_the_cap_at_once")
def open_proposals_are_counted_before_the_lock(patch: Patch) -> None:
    """Two that are each the third come to four."""

    def draft(original: Any, session: Any, clock: Any, ids: Any, author: Any, body: Any) -> Any:
        session.info["open before the lock"] = proposals.count_open(session, author)
        return original(session, clock, ids, author, body)

    def refuse_above_cap(session: Any, _author: Any) -> None:
        if session.info["open before the lock"] >= proposals.MAX_OPEN_PROPOSALS:
            raise ApiError(ErrorCode.TOO_MANY_OPEN_PROPOSALS, "You have enough open proposals.")

    wrap(patch, proposals, "draft", draft)
    patch.setattr(proposals, "refuse_above_cap", refuse_above_cap)
