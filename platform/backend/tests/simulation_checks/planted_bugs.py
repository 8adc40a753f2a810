"""One bug for each check of the simulation, planted in the platform that the machine then runs on.

Each is a mistake that somebody could make: a check that is off by one, an index without its `lower()`, an UPDATE
without its WHERE. They are patched in, and only here; the application has no switches for them.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import pytest
from deepsci import errors
from deepsci.agents import service as agents
from deepsci.agents.authentication import api_key_header, authenticate
from deepsci.dependencies import RequestSession
from deepsci.errors import ApiError, ErrorCode
from deepsci.models import Agent, Proposal, ProposalStatus, World
from deepsci.proposals import service as proposals
from deepsci.worlds import service as worlds
from fastapi import Depends, FastAPI
from simulation import base
from sqlalchemy import Engine, select, text, update

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@dataclass(frozen=True)
class PlantedBug:
    """A bug and the check that must find it: the id of an invariant or the name of a forbidden move."""

    found_by: str
    name: str
    plant: Plant


PLANTED_BUGS: Final[list[PlantedBug]] = []


def found_by(check: str) -> Callable[[Plant], Plant]:
    """Plant a bug for a check."""

    def planted(plant: Plant) -> Plant:
        PLANTED_BUGS.append(PlantedBug(check, plant.__name__, plant))
        return plant

    return planted


# How bugs are planted.


def wrap(patch: Patch, module: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a function by a wrapper, which gets the original as its first argument."""
    patch.setattr(module, name, partial(wrapper, getattr(module, name)))


def on_each_application(patch: Patch, change: Callable[[FastAPI, Engine], None]) -> None:
    """Change every application, or its database, before the machine gets it."""

    def changed(create_app: Callable[..., FastAPI], engine: Engine, *effects: Any) -> FastAPI:
        app = create_app(engine, *effects)
        change(app, engine)
        return app

    wrap(patch, base, "create_app", changed)


def execute_first(patch: Patch, *statements: str) -> None:
    """Run statements in every example's database, as a bad migration would have."""

    def execute(_app: FastAPI, engine: Engine) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    on_each_application(patch, execute)


def tolerate(patch: Patch, path: str, mend: Callable[[Any], Any]) -> None:
    """Put a proxy before the application that mends the bodies of requests to paths with this end."""

    def install(app: FastAPI, _engine: Engine) -> None:
        app.add_middleware(MendingProxy, path=path, mend=mend)

    on_each_application(patch, install)


class MendingProxy:
    """ASGI middleware that rewrites JSON bodies. TestClient sends a body as one message."""

    def __init__(self, app: Any, path: str, mend: Callable[[Any], Any]) -> None:
        self.app, self.path, self.mend = app, path, mend

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, mended if it is one of ours."""
        ours = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(self.path)
        await self.app(scope, partial(self.receive_mended, receive) if ours else receive, send)

    async def receive_mended(self, receive: Any) -> Any:
        """Return the next message, its body mended."""
        message = await receive()
        body = json.loads(message.get("body") or b"null")
        return message | {"body": json.dumps(self.mend(body)).encode()}


# Found by the invariants of agents.


@found_by("A1")
def registrations_are_lower_cased_after_the_answer_was_made(patch: Patch) -> None:
    """The answer shows the name as chosen, the table keeps another."""

    def register(original: Any, session: Any, *arguments: Any) -> Any:
        agent, api_key = original(session, *arguments)
        session.execute(text("UPDATE agents SET username = lower(username)"))
        return agent, api_key

    wrap(patch, agents, "register", register)


@found_by("A2")
def a_retried_registration_leaves_a_shouting_twin(patch: Patch) -> None:
    """The index forgot lower(), and the retry did not look."""
    execute_first(patch, "DROP INDEX uq_agents_username_lower")

    def register(original: Any, session: Any, clock: Any, ids: Any, username: str) -> Any:
        original(session, clock, ids, username.upper())
        return original(session, clock, ids, username)

    wrap(patch, agents, "register", register)


@found_by("A3")
def keys_are_hashed_with_another_hash(patch: Patch) -> None:
    """Stored and looked up alike, so nobody notices from outside."""
    patch.setattr(agents, "hash_api_key", lambda key: hashlib.blake2s(key.encode()).hexdigest())


# Found by the invariant of time.


@found_by("T1")
def submissions_are_dated_by_the_wall_clock(patch: Patch) -> None:
    """One statement takes its time from somewhere else; the answer shows what was meant."""

    def submit(original: Any, session: Any, clock: Any, agent: Any, proposal_id: Any) -> Any:
        proposal = original(session, clock, agent, proposal_id)
        later = update(type(proposal)).where(type(proposal).id == proposal_id).values(submitted_at=datetime.now(UTC))
        session.execute(later, execution_options={"synchronize_session": False})
        return proposal

    wrap(patch, proposals, "submit", submit)


# Found by the invariants of proposals.


@found_by("P1")
def long_premises_are_cut(patch: Patch) -> None:
    """Ten characters are enough for anybody."""
    after(patch, "draft", "UPDATE proposals SET premise = left(premise, 10)")


@found_by("P2")
def events_are_numbered_in_tens(patch: Patch) -> None:
    """Room for later insertions, which nobody asked for; the order stays."""
    after(patch, "draft", "UPDATE causal_events SET position = position * 10 WHERE position < 10")


@found_by("P3")
def submitting_one_draft_submits_all(patch: Patch) -> None:
    """An UPDATE whose WHERE names the author and not the proposal."""
    after(
        patch,
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
                "INSERT INTO proposals "
                "SELECT gen_random_uuid(), author_id, premise, year, 'draft', decided_at FROM proposals WHERE id = :id"
            )
            session.execute(text(copy), {"id": proposal.id})
        return world

    wrap(patch, proposals, "decide", decide)


def after(patch: Patch, action: str, statement: str) -> None:
    """Let a statement follow an action of the proposals' service, in its transaction and behind its answer."""

    def followed(original: Any, session: Any, *arguments: Any) -> Any:
        result = original(session, *arguments)
        session.execute(text(statement))
        return result

    wrap(patch, proposals, action, followed)


# Found by the invariants of validations.


@found_by("V1")
def a_later_vote_overwrites_the_critiques_of_the_earlier(patch: Patch) -> None:
    """Another UPDATE with half of its WHERE."""
    after(
        patch,
        "validate",
        "UPDATE validations SET critique = latest.critique "
        "FROM (SELECT proposal_id, critique FROM validations ORDER BY created_at DESC, id LIMIT 1) latest "
        "WHERE validations.proposal_id = latest.proposal_id",
    )


@found_by("V2")
def a_retried_vote_is_there_twice(patch: Patch) -> None:
    """The constraint was lost in a migration, and the retry did not look."""
    execute_first(patch, "ALTER TABLE validations DROP CONSTRAINT uq_validations_proposal_id_validator_id")
    after(
        patch,
        "decide",
        "INSERT INTO validations SELECT gen_random_uuid(), proposal_id, validator_id, verdict, critique, created_at "
        "FROM validations ORDER BY created_at DESC, id LIMIT 1",
    )


@found_by("V3")
def authors_sign_what_was_decided(patch: Patch) -> None:
    """For the record, in the wrong table."""

    def decide(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
        world = original(session, ids, proposal, validation)
        if proposal.status != ProposalStatus.VALIDATING:
            signature = (
                "INSERT INTO validations "
                "SELECT gen_random_uuid(), id, author_id, 'approve', 'Mine.', decided_at FROM proposals WHERE id = :id"
            )
            session.execute(text(signature), {"id": proposal.id})
        return world

    wrap(patch, proposals, "decide", decide)


@found_by("V4")
def the_deciding_rejection_is_not_kept(patch: Patch) -> None:
    """The decision is there, one of its reasons is not."""

    def decide(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
        world = original(session, ids, proposal, validation)
        if proposal.status == ProposalStatus.REJECTED:
            session.execute(text("DELETE FROM validations WHERE id = :id"), {"id": validation.id})
        return world

    wrap(patch, proposals, "decide", decide)


# Found by the invariants of worlds.


@found_by("W1")
def a_rejected_proposal_gets_a_world_too(patch: Patch) -> None:
    """Nobody is told, but it is there."""

    def decide(original: Any, session: Any, ids: Any, proposal: Any, validation: Any) -> Any:
        world = original(session, ids, proposal, validation)
        if proposal.status == ProposalStatus.REJECTED:
            worlds.found_world(session, ids, proposal, validation.created_at)
        return world

    wrap(patch, proposals, "decide", decide)


@found_by("W2")
def worlds_begin_a_year_early(patch: Patch) -> None:
    """Off by one."""

    def found_world(original: Any, session: Any, *arguments: Any) -> Any:
        world = original(session, *arguments)
        session.execute(text("UPDATE worlds SET year = year - 1 WHERE id = :id"), {"id": world.id})
        return world

    wrap(patch, proposals, "found_world", found_world)


# Found by the forbidden moves of agents.


@found_by("register_a_taken_username")
def usernames_are_unique_letter_by_letter(patch: Patch) -> None:
    """The index forgot lower()."""
    execute_first(
        patch,
        "DROP INDEX uq_agents_username_lower",
        "CREATE UNIQUE INDEX uq_agents_username_lower ON agents (username)",
    )


@found_by("register_a_malformed_username")
def usernames_are_mended(patch: Patch) -> None:
    """A kind proxy takes out what a username may not contain, and shortens what is too long."""

    def mend(body: Any) -> Any:
        name = body["username"]
        return {"username": re.sub(r"[^A-Za-z0-9_-]", "", name)[:30]} if isinstance(name, str) else body

    tolerate(patch, "/agents", mend)


@found_by("use_a_wrong_key")
def keys_are_compared_regardless_of_case(patch: Patch) -> None:
    """Somebody took keys for usernames."""
    wrap(patch, agents, "hash_api_key", lambda original, key: original(key.lower()))


@found_by("act_without_a_key")
def no_key_is_the_first_agents_key(patch: Patch) -> None:
    """A default for development that was never taken out."""

    def lenient(session: RequestSession, api_key: Annotated[str | None, Depends(api_key_header)]) -> Agent:
        if api_key is None:
            return session.scalars(select(Agent).order_by(Agent.created_at, Agent.id)).first() or Agent()
        return agents.find_by_api_key(session, api_key)

    on_each_application(patch, lambda app, _engine: app.dependency_overrides.update({authenticate: lenient}))


@found_by("read_an_unknown_agent")
def an_agent_is_found_by_its_proposals_too(patch: Patch) -> None:
    """A lookup that wanted to be helpful."""

    def get_agent(original: Any, session: Any, agent_id: Any) -> Any:
        proposal = session.get(Proposal, agent_id)
        return original(session, agent_id if proposal is None else proposal.author_id)

    wrap(patch, agents, "get_agent", get_agent)


# Found by the forbidden moves of proposals.


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
    patch.setattr(proposals, "pairwise", lambda chain: [(chain[0], chain[-1])])


@found_by("draft_a_chain_that_ends_after_its_future")
def chains_may_end_a_year_late(patch: Patch) -> None:
    """Off by one."""
    wrap(patch, proposals, "refuse_bad_chain", lambda original, chain, year: original(chain, year + 1))


@found_by("draft_a_year_that_is_no_future")
def this_year_is_the_future(patch: Patch) -> None:
    """Off by one, and noticed only by who tries this very year."""
    wrap(patch, proposals, "refuse_year_not_in_the_future", lambda original, year, now: original(year + 1, now))


@found_by("draft_something_malformed")
def drafts_are_mended(patch: Patch) -> None:
    """A kind proxy takes out what the platform does not know, and makes numbers of digits."""

    def mend(body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        known = {key: body[key] for key in ("premise", "year", "chain") if key in body}
        return known | {"year": int(known["year"])}

    tolerate(patch, "/proposals", mend)


@found_by("submit_somebody_elses_proposal")
def anybody_may_submit(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(proposals, "refuse_unless_author", lambda _proposal, _agent: None)


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
            return errors._answer(ErrorCode.PROPOSAL_NOT_FOUND, "There is no such proposal.")
        return await original(request, error)

    wrap(patch, errors, "_answer_validation_error", answer)


# Found by the forbidden moves of validations.


@found_by("validate_ones_own_proposal")
def authors_may_vote(patch: Patch) -> None:
    """A check that was left out."""
    patch.setattr(proposals, "refuse_own_proposal", lambda _proposal, _agent: None)


@found_by("validate_a_second_time")
def the_constraint_on_votes_was_lost(patch: Patch) -> None:
    """Nothing but the constraint stands between an agent and its second vote."""
    execute_first(patch, "ALTER TABLE validations DROP CONSTRAINT uq_validations_proposal_id_validator_id")


@found_by("validate_a_draft")
def drafts_may_be_validated(patch: Patch) -> None:
    """Only decided proposals are refused."""
    may_be_validated_when(patch, ProposalStatus.DRAFT)


@found_by("validate_a_decided_proposal")
def rejected_proposals_get_another_chance(patch: Patch) -> None:
    """Only approved ones are final."""
    may_be_validated_when(patch, ProposalStatus.REJECTED)


def may_be_validated_when(patch: Patch, status: ProposalStatus) -> None:
    """Let votes on proposals of one more status through."""

    def refuse(original: Any, proposal: Any) -> None:
        if proposal.status != status:
            original(proposal)

    wrap(patch, proposals, "refuse_unless_validating", refuse)


@found_by("validate_an_unknown_proposal")
def votes_on_nothing_are_not_open(patch: Patch) -> None:
    """An unknown proposal is answered like one that is not open to validation."""

    def validate(original: Any, session: Any, clock: Any, ids: Any, agent: Any, proposal_id: Any, body: Any) -> Any:
        if session.get(Proposal, proposal_id) is None:
            raise ApiError(ErrorCode.PROPOSAL_NOT_VALIDATING, "The proposal is not open to validation.")
        return original(session, clock, ids, agent, proposal_id, body)

    wrap(patch, proposals, "validate", validate)


@found_by("validate_with_a_malformed_ballot")
def verdicts_are_read_regardless_of_case(patch: Patch) -> None:
    """A kind proxy lowers what is shouted."""

    def lower(body: Any) -> Any:
        return body | {"verdict": body["verdict"].lower()} if isinstance(body, dict) else body

    tolerate(patch, "/validations", lower)


# Found by the forbidden moves of worlds.


@found_by("read_an_unknown_world")
def an_unknown_id_leads_to_the_newest_world(patch: Patch) -> None:
    """A default that wanted to be helpful."""

    def get_world(original: Any, session: Any, world_id: Any) -> Any:
        newest = session.scalars(select(World).order_by(World.created_at.desc(), World.id).limit(1)).first()
        return session.get(World, world_id) or newest or original(session, world_id)

    wrap(patch, worlds, "get_world", get_world)
