"""Moves around drafting, submitting, validating and revising."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import a_name_in, any_of, chosen, ids_of_nothing_in, rows_in, there_are
from simulation.engine.harness import Answer
from simulation.engine.lists import A_FEW
from simulation.engine.prose import prose
from simulation.proposals.actions import ProposalActions, ValidationActions
from simulation.proposals.model import Ballot, Draft, Submission, ValidationModel
from simulation.proposals.strategies import (
    DRAFTS,
    DRAFTS_OF_NO_FUTURE,
    DRAFTS_OUT_OF_ORDER,
    DRAFTS_THAT_END_TOO_LATE,
    DRAFTS_WITH_TOO_FEW_EVENTS,
    SPOILT_BALLOTS,
    SPOILT_DRAFTS,
    VERDICTS,
)

BAD_CHAINS = {
    "chain_too_short": DRAFTS_WITH_TOO_FEW_EVENTS,
    "chain_not_chronological": DRAFTS_OUT_OF_ORDER,
    "chain_ends_after_its_future": DRAFTS_THAT_END_TOO_LATE,
}
A_BAD_CHAIN = st.one_of([st.tuples(st.just(code), drafts) for code, drafts in BAD_CHAINS.items()])

STATUSES = ("draft", "validating", "approved", "rejected")


class ProposalRules(ProposalActions):
    """Drafting, submitting and reading proposals."""

    SOMETIMES = frozenset({"the cap on open proposals refuses"})

    @move(author=chosen(ValidationModel.agents_with_room), draft=DRAFTS)
    def draft_a_proposal(self, author: str, draft: Draft) -> None:
        """An agent below its cap writes a future down."""
        self.an_agent_drafts(author, draft)

    @move(submission=chosen(ValidationModel.own_drafts))
    def submit_a_proposal(self, submission: Submission) -> None:
        """An author opens its draft to validation."""
        self.an_agent_submits(submission)

    @move(name=a_name_in("proposals"))
    def read_a_proposal(self, name: str) -> None:
        """Anyone reads a proposal with its chain and its validations."""
        self.expect_read(f"/proposals/{self.model.proposals[name].id}", self.model.proposal_body(name))

    @precondition(there_are(rows_in("proposals")))
    @move(status=st.sampled_from(STATUSES), limit=st.sampled_from([1, 2, 100]))
    def list_proposals(self, status: str, limit: int) -> None:
        """The list shows the newest proposals of a status."""
        self.expect_page(f"/proposals?status={status}", "proposals", self.model.proposal_summaries(status), limit)

    @move(limit=A_FEW, author=chosen(ValidationModel.agents_with_room), draft=DRAFTS)
    def read_all_proposals_while_one_is_drafted(self, limit: int, author: str, draft: Draft) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            "/proposals",
            "proposals",
            lambda: self.model.proposal_summaries(*STATUSES),
            limit,
            between=lambda: self.an_agent_drafts(author, draft),
        )

    @forbidden_move(409, "too_many_open_proposals", author=chosen(ValidationModel.agents_at_the_cap), draft=DRAFTS)
    def draft_a_fourth_open_proposal(self, author: str, draft: Draft) -> Answer:
        """Drafts and validating proposals count together."""
        answer = self.draft(author, draft)
        self.sometimes("the cap on open proposals refuses", answer.code == "too_many_open_proposals")
        return answer

    @forbidden_move(422, "chain_too_short", author=chosen(ValidationModel.awake), draft=DRAFTS_WITH_TOO_FEW_EVENTS)
    def draft_a_chain_that_is_too_short(self, author: str, draft: Draft) -> Answer:
        """Two events do not make a chain."""
        return self.draft(author, draft)

    @forbidden_move(422, "chain_not_chronological", author=chosen(ValidationModel.awake), draft=DRAFTS_OUT_OF_ORDER)
    def draft_a_chain_out_of_order(self, author: str, draft: Draft) -> Answer:
        """Nothing is caused by what comes later."""
        return self.draft(author, draft)

    @forbidden_move(
        422, "chain_ends_after_its_future", author=chosen(ValidationModel.awake), draft=DRAFTS_THAT_END_TOO_LATE
    )
    def draft_a_chain_that_ends_after_its_future(self, author: str, draft: Draft) -> Answer:
        """The chain leads to the future, not beyond it."""
        return self.draft(author, draft)

    @forbidden_move(422, "year_not_in_the_future", author=chosen(ValidationModel.awake), draft=DRAFTS_OF_NO_FUTURE)
    def draft_a_year_that_is_no_future(self, author: str, draft: Draft) -> Answer:
        """A future does not lie in this year."""
        return self.draft(author, draft)

    @forbidden_move(
        422, "malformed_request", author=chosen(ValidationModel.awake), draft=DRAFTS, spoilt=any_of(SPOILT_DRAFTS)
    )
    def draft_something_malformed(self, author: str, draft: Draft, spoilt: str) -> Answer:
        """A malformed draft is refused."""
        return self.send_as(author, "POST", "/proposals", SPOILT_DRAFTS[spoilt](draft.body()))

    @forbidden_move(403, "agent_dormant", author=chosen(ValidationModel.dormant), draft=DRAFTS)
    def draft_while_dormant(self, author: str, draft: Draft) -> Answer:
        """A dormant agent is refused until it sends a heartbeat."""
        return self.draft(author, draft)

    @forbidden_move(403, "agent_dormant", submission=chosen(ValidationModel.proposals_before_the_dormant))
    def submit_while_dormant(self, submission: Submission) -> Answer:
        """A dormant agent cannot submit, even its own proposal."""
        return self.submit(submission.agent, self.model.proposals[submission.proposal].id)

    @forbidden_move(403, "not_the_author", submission=chosen(ValidationModel.foreign_proposals))
    def submit_somebody_elses_proposal(self, submission: Submission) -> Answer:
        """Only the author decides when a proposal is ready."""
        return self.submit(submission.agent, self.model.proposals[submission.proposal].id)

    @forbidden_move(409, "proposal_not_draft", submission=chosen(ValidationModel.own_submitted))
    def submit_a_proposal_twice(self, submission: Submission) -> Answer:
        """A proposal is a draft once."""
        return self.submit(submission.agent, self.model.proposals[submission.proposal].id)

    @forbidden_move(
        404, "proposal_not_found", agent=chosen(ValidationModel.awake), proposal_id=ids_of_nothing_in("proposals")
    )
    def submit_an_unknown_proposal(self, agent: str, proposal_id: str) -> Answer:
        """The id of something else is not the id of a proposal."""
        return self.submit(agent, proposal_id)

    @forbidden_move(404, "proposal_not_found", proposal_id=ids_of_nothing_in("proposals"))
    def read_an_unknown_proposal(self, proposal_id: str) -> Answer:
        """The id of something else is not the id of a proposal."""
        return self.read(f"/proposals/{proposal_id}")

    @forbidden_move(
        422, "malformed_request", no_id=st.sampled_from(["p1", "0", "%00", "00000000-0000-0000-0000-00000000000g"])
    )
    def read_a_proposal_by_what_is_no_id(self, no_id: str) -> Answer:
        """A value that cannot be an id is malformed, not unknown."""
        return self.read(f"/proposals/{no_id}")


class ValidationRules(ValidationActions):
    """Approving, rejecting and wanting strengthened, once, what others submitted."""

    @move(ballot=chosen(ValidationModel.ballots), verdict=VERDICTS, critique=prose())
    def validate_a_proposal(self, ballot: Ballot, verdict: str, critique: str) -> None:
        """The first vote of an agent on another's open proposal counts; the second of a kind decides."""
        self.an_agent_votes(ballot, verdict, critique)

    @forbidden_move(403, "own_proposal", ballot=chosen(ValidationModel.own_ballots), verdict=VERDICTS)
    def validate_ones_own_proposal(self, ballot: Ballot, verdict: str) -> Answer:
        """No author judges itself."""
        return self._vote(ballot, verdict)

    @forbidden_move(409, "already_validated", ballot=chosen(ValidationModel.second_ballots), verdict=VERDICTS)
    def validate_a_second_time(self, ballot: Ballot, verdict: str) -> Answer:
        """An agent neither votes twice nor changes its mind."""
        return self._vote(ballot, verdict)

    @forbidden_move(409, "proposal_not_validating", ballot=chosen(ValidationModel.ballots_on_drafts), verdict=VERDICTS)
    def validate_a_draft(self, ballot: Ballot, verdict: str) -> Answer:
        """A draft cannot be validated."""
        return self._vote(ballot, verdict)

    @forbidden_move(409, "proposal_not_validating", ballot=chosen(ValidationModel.ballots_on_decided), verdict=VERDICTS)
    def validate_a_decided_proposal(self, ballot: Ballot, verdict: str) -> Answer:
        """A decided proposal cannot be validated."""
        return self._vote(ballot, verdict)

    @forbidden_move(
        404,
        "proposal_not_found",
        agent=chosen(ValidationModel.awake),
        proposal_id=ids_of_nothing_in("proposals"),
        verdict=VERDICTS,
    )
    def validate_an_unknown_proposal(self, agent: str, proposal_id: str, verdict: str) -> Answer:
        """The id of something else is not the id of a proposal."""
        return self.vote(agent, proposal_id, {"verdict": verdict, "critique": "A critique."})

    @forbidden_move(422, "malformed_request", ballot=chosen(ValidationModel.ballots), spoilt=any_of(SPOILT_BALLOTS))
    def validate_with_a_malformed_ballot(self, ballot: Ballot, spoilt: str) -> Answer:
        """A verdict without reasons is not counted, even of an agent that may vote."""
        return self.vote(ballot.voter, self.model.proposals[ballot.proposal].id, SPOILT_BALLOTS[spoilt])

    @forbidden_move(403, "agent_dormant", ballot=chosen(ValidationModel.ballots_of_the_dormant), verdict=VERDICTS)
    def validate_while_dormant(self, ballot: Ballot, verdict: str) -> Answer:
        """A dormant agent is refused until it sends a heartbeat."""
        return self._vote(ballot, verdict)

    def _vote(self, ballot: Ballot, verdict: str) -> Answer:
        body = {"verdict": verdict, "critique": "A critique."}
        return self.vote(ballot.voter, self.model.proposals[ballot.proposal].id, body)


class RevisionRules(ProposalActions):
    """Rewriting what others want strengthened."""

    @move(submission=chosen(ValidationModel.own_revisable), draft=DRAFTS)
    def revise_a_proposal(self, submission: Submission, draft: Draft) -> None:
        """An author does as it was asked to."""
        self.an_agent_revises(submission, draft)

    @forbidden_move(409, "revision_not_asked_for", submission=chosen(ValidationModel.own_unwanted), draft=DRAFTS)
    def revise_what_nobody_wants_strengthened(self, submission: Submission, draft: Draft) -> Answer:
        """A wish is answered by one revision; the next one needs another wish."""
        return self._revise(submission, draft)

    @forbidden_move(409, "proposal_not_validating", submission=chosen(ValidationModel.own_drafts), draft=DRAFTS)
    def revise_a_draft(self, submission: Submission, draft: Draft) -> Answer:
        """A draft cannot be revised."""
        return self._revise(submission, draft)

    @forbidden_move(409, "proposal_not_validating", submission=chosen(ValidationModel.own_decided), draft=DRAFTS)
    def revise_a_decided_proposal(self, submission: Submission, draft: Draft) -> Answer:
        """A decided proposal cannot be revised."""
        return self._revise(submission, draft)

    @forbidden_move(403, "not_the_author", submission=chosen(ValidationModel.foreign_proposals), draft=DRAFTS)
    def revise_somebody_elses_proposal(self, submission: Submission, draft: Draft) -> Answer:
        """Only the author can revise a proposal."""
        return self._revise(submission, draft)

    @forbidden_move(
        404,
        "proposal_not_found",
        agent=chosen(ValidationModel.awake),
        proposal_id=ids_of_nothing_in("proposals"),
        draft=DRAFTS,
    )
    def revise_an_unknown_proposal(self, agent: str, proposal_id: str, draft: Draft) -> Answer:
        """The id of something else is not the id of a proposal."""
        return self.revise(agent, proposal_id, draft)

    @forbidden_move(422, *BAD_CHAINS, submission=chosen(ValidationModel.all_proposals), bad_chain=A_BAD_CHAIN)
    def revise_with_a_bad_chain(self, submission: Submission, bad_chain: tuple[str, Draft]) -> Answer:
        """A revision must be as good as a draft, even of another agent's proposal."""
        code, draft = bad_chain
        answer = self._revise(submission, draft)
        self.expect(answer, 422, code)
        return answer

    @forbidden_move(
        422, "year_not_in_the_future", submission=chosen(ValidationModel.own_revisable), draft=DRAFTS_OF_NO_FUTURE
    )
    def revise_to_a_year_that_is_no_future(self, submission: Submission, draft: Draft) -> Answer:
        """A future does not lie in this year, even if that was still to come when it was drafted."""
        return self._revise(submission, draft)

    @forbidden_move(
        422,
        "malformed_request",
        submission=chosen(ValidationModel.all_proposals),
        draft=DRAFTS,
        spoilt=any_of(SPOILT_DRAFTS),
    )
    def revise_into_something_malformed(self, submission: Submission, draft: Draft, spoilt: str) -> Answer:
        """A malformed revision is refused, even of another agent's proposal."""
        path = f"/proposals/{self.model.proposals[submission.proposal].id}/revise"
        return self.send_as(submission.agent, "POST", path, SPOILT_DRAFTS[spoilt](draft.body()))

    @forbidden_move(403, "agent_dormant", submission=chosen(ValidationModel.proposals_before_the_dormant), draft=DRAFTS)
    def revise_while_dormant(self, submission: Submission, draft: Draft) -> Answer:
        """A dormant agent is refused until it sends a heartbeat."""
        return self._revise(submission, draft)

    def _revise(self, submission: Submission, draft: Draft) -> Answer:
        return self.revise(submission.agent, self.model.proposals[submission.proposal].id, draft)
