"""Bugs around voting."""

from typing import Any

from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Inbox, Notification, Proposal, ProposalStatus, Validation
from deepsci.proposals import service as proposals
from sqlalchemy import func, select, text, update

from simulation.engine import planting as plant

# Found by the invariants.


@plant.followed("V1", proposals, "validate")
def a_later_vote_overwrites_the_critiques_of_the_earlier() -> str:
    """Another UPDATE with half of its WHERE."""
    return (
        "UPDATE validations SET critique = latest.critique "
        "FROM (SELECT proposal_id, critique FROM validations ORDER BY created_at DESC, id LIMIT 1) latest "
        "WHERE validations.proposal_id = latest.proposal_id"
    )


@plant.wrapping(
    "V2", proposals, "decide", lost="ALTER TABLE validations DROP CONSTRAINT uq_validations_proposal_id_validator_id"
)
def a_retried_vote_is_there_twice(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
    """The constraint was lost in a migration, and the retry did not look."""
    world = original(session, ids, proposal, validation)
    if proposal.status != ProposalStatus.VALIDATING:
        twin = (
            "INSERT INTO validations (id, proposal_id, validator_id, verdict, critique, revision, created_at) "
            "SELECT gen_random_uuid(), proposal_id, validator_id, verdict, critique, revision, created_at "
            "FROM validations WHERE id = :id"
        )
        session.execute(text(twin), {"id": validation.id})
    return world


@plant.wrapping("V3", proposals, "decide")
def authors_sign_what_was_decided(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
    """For the record, in the wrong table."""
    world = original(session, ids, proposal, validation)
    if proposal.status != ProposalStatus.VALIDATING:
        signature = (
            "INSERT INTO validations (id, proposal_id, validator_id, verdict, critique, revision, created_at) "
            "SELECT gen_random_uuid(), id, author_id, 'approve', 'Mine.', revision, decided_at "
            "FROM proposals WHERE id = :id"
        )
        session.execute(text(signature), {"id": proposal.id})
    return world


@plant.wrapping("V4", proposals, "decide")
def the_deciding_rejection_is_not_kept(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
    """The decision is there, one of its reasons is not."""
    world = original(session, ids, proposal, validation)
    if proposal.status == ProposalStatus.REJECTED:
        session.execute(text("DELETE FROM validations WHERE id = :id"), {"id": validation.id})
    return world


@plant.found_by("V5")
def every_validation_is_of_the_first_revision(patch: plant.Patch) -> None:
    """A default that came with the column."""
    plant.after(patch, proposals, "validate", "UPDATE validations SET revision = 1")


# Found by the forbidden moves.


@plant.found_by("validate_a_draft")
def drafts_may_be_validated(patch: plant.Patch) -> None:
    """Only decided proposals are refused."""
    may_be_validated_when(patch, ProposalStatus.DRAFT)


@plant.found_by("validate_a_decided_proposal")
def rejected_proposals_get_another_chance(patch: plant.Patch) -> None:
    """Only approved ones are final."""
    may_be_validated_when(patch, ProposalStatus.REJECTED)


def may_be_validated_when(patch: plant.Patch, status: ProposalStatus) -> None:
    """Let votes on proposals of one more status through."""

    def refuse(original: Any, proposal: Any) -> None:
        if proposal.status != status:
            original(proposal)

    plant.wrap(patch, proposals, "refuse_unless_validating", refuse)


@plant.mending("validate_with_a_malformed_ballot", "/validations")
def verdicts_are_read_regardless_of_case(body: Any) -> Any:
    """A kind proxy lowers what is shouted."""
    return body | {"verdict": body["verdict"].lower()} if isinstance(body, dict) else body


# Found by liveness.


@plant.wrapping("L1", proposals, "validate")
def agents_with_long_names_have_no_vote(
    original: Any, session: Any, clock: Any, ids: Any, agent: Any, *arguments: Any
) -> Any:
    """The register of voters has room for twenty letters; no move's agent needs more."""
    if len(agent.username) > 20:
        raise ApiError(ErrorCode.PROPOSAL_NOT_VALIDATING, "The proposal is not open to validation.")
    return original(session, clock, ids, agent, *arguments)


# Bugs that say all by their names.

plant.bug("validate_ones_own_proposal", "authors_may_vote", plant.left_out(proposals, "refuse_own_proposal"))
# Nothing but the constraint stands between an agent and its second vote.
plant.bug(
    "validate_a_second_time",
    "the_constraint_on_votes_was_lost",
    plant.lost("ALTER TABLE validations DROP CONSTRAINT uq_validations_proposal_id_validator_id"),
)
plant.bug(
    "validate_while_dormant", "the_dormant_may_validate", plant.left_out(proposals, "refuse_dormant", of="validate")
)
# An unknown proposal is answered like one that is not open to validation.
plant.bug(
    "validate_an_unknown_proposal",
    "votes_on_nothing_are_not_open",
    plant.unknown_answered_as(proposals, "validate", Proposal, ErrorCode.PROPOSAL_NOT_VALIDATING),
)


# Found by the races.


@plant.found_by_race("tell_one_author_at_once")
def notifications_are_numbered_in_python(patch: plant.Patch) -> None:
    """Two get the same number."""

    def notify_in_python(session: Any, agent_id: Any, kind: Any, subject_id: Any, now: Any) -> None:
        number = session.scalar(select(Inbox.last_number).where(Inbox.agent_id == agent_id)) + 1
        session.execute(update(Inbox).where(Inbox.agent_id == agent_id).values(last_number=number))
        session.add(Notification(agent_id=agent_id, number=number, kind=kind, subject_id=subject_id, created_at=now))
        session.flush()

    patch.setattr(proposals, "notify", notify_in_python)


@plant.found_by_race("validate_one_proposal_at_once")
def votes_are_counted_before_the_lock(patch: plant.Patch) -> None:
    """Two that are each the second are each taken for the first, and nothing is decided."""

    def validate(original: Any, session: Any, clock: Any, ids: Any, agent: Any, proposal_id: Any, body: Any) -> Any:
        counted = select(func.count()).where(Validation.proposal_id == proposal_id, Validation.verdict == body.verdict)
        session.info["votes before the lock"] = session.scalar(counted)
        return original(session, clock, ids, agent, proposal_id, body)

    plant.wrap(patch, proposals, "validate", validate)
    patch.setattr(
        proposals, "count_votes", lambda session, _proposal, _verdict: session.info["votes before the lock"] + 1
    )
