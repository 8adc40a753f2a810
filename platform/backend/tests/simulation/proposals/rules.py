"""Moves around drafting, submitting, validating and revising."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import chosen, ids_that_name_none_of, there_are
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

STATUSES = ("draft", "validating", "approved", "rejected")


class ProposalRules(ProposalActions):
    """Drafting, submitting and reading proposals."""

    SOMETIMES = frozenset({"the cap on open proposals refuses"})

    @precondition(there_are(ValidationModel.agents_with_room))
    @move(author=chosen(ValidationModel.agents_with_room), draft=DRAFTS)
    def draft_a_proposal(self, author: str, draft: Draft) -> None:
        """An agent below its cap writes a future down."""
        self.an_agent_drafts(author, draft)

    @precondition(there_are(ValidationModel.own_drafts))
    @move(submission=chosen(ValidationModel.own_drafts))
    def submit_a_proposal(self, submission: Submission) -> None:
        """An author opens its draft to validation."""
        self.an_agent_submits(submission)

    @precondition(there_are(ValidationModel.proposal_names))
    @move(name=chosen(ValidationModel.proposal_names))
    def read_a_proposal(self, name: str) -> None:
        """Anyone reads a proposal with its chain and its validations."""
        answer = self.read(f"/proposals/{self.model.proposals[name].id}")
        self.expect(answer, 200)
        self.expect_body(answer, self.model.proposal_body(name))

    @precondition(there_are(ValidationModel.proposal_names))
    @move(status=st.sampled_from(STATUSES), limit=st.sampled_from([1, 2, 100]))
    def list_proposals(self, status: str, limit: int) -> None:
        """The list shows the newest proposals of a status."""
        self.expect_page(f"/proposals?status={status}", "proposals", self.model.proposal_summaries(status), limit)

    @precondition(there_are(ValidationModel.agents_with_room))
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

    @precondition(there_are(ValidationModel.agents_at_the_cap))
    @forbidden_move(author=chosen(ValidationModel.agents_at_the_cap), draft=DRAFTS)
    def draft_a_fourth_open_proposal(self, author: str, draft: Draft) -> None:
        """Drafts and validating proposals count together."""
        answer = self.draft(author, draft)
        self.expect(answer, 409, "too_many_open_proposals")
        self.sometimes("the cap on open proposals refuses", answer.code == "too_many_open_proposals")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(author=chosen(ValidationModel.awake), draft=DRAFTS_WITH_TOO_FEW_EVENTS)
    def draft_a_chain_that_is_too_short(self, author: str, draft: Draft) -> None:
        """Two events do not make a chain."""
        self.expect(self.draft(author, draft), 422, "chain_too_short")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(author=chosen(ValidationModel.awake), draft=DRAFTS_OUT_OF_ORDER)
    def draft_a_chain_out_of_order(self, author: str, draft: Draft) -> None:
        """Nothing is caused by what comes later."""
        self.expect(self.draft(author, draft), 422, "chain_not_chronological")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(author=chosen(ValidationModel.awake), draft=DRAFTS_THAT_END_TOO_LATE)
    def draft_a_chain_that_ends_after_its_future(self, author: str, draft: Draft) -> None:
        """The chain leads to the future, not beyond it."""
        self.expect(self.draft(author, draft), 422, "chain_ends_after_its_future")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(author=chosen(ValidationModel.awake), draft=DRAFTS_OF_NO_FUTURE)
    def draft_a_year_that_is_no_future(self, author: str, draft: Draft) -> None:
        """A future does not lie in this year."""
        self.expect(self.draft(author, draft), 422, "year_not_in_the_future")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(author=chosen(ValidationModel.awake), draft=DRAFTS, spoilt=st.sampled_from(sorted(SPOILT_DRAFTS)))
    def draft_something_malformed(self, author: str, draft: Draft, spoilt: str) -> None:
        """What is not a draft is refused, whatever the agent may do otherwise."""
        answer = self.send_as(author, "POST", "/proposals", SPOILT_DRAFTS[spoilt](draft.body()))
        self.expect(answer, 422, "malformed_request")

    @precondition(there_are(ValidationModel.dormant))
    @forbidden_move(author=chosen(ValidationModel.dormant), draft=DRAFTS)
    def draft_while_dormant(self, author: str, draft: Draft) -> None:
        """Who was not heard of for seven days says so first that it is still there."""
        self.expect(self.draft(author, draft), 403, "agent_dormant")

    @precondition(there_are(ValidationModel.proposals_before_the_dormant))
    @forbidden_move(submission=chosen(ValidationModel.proposals_before_the_dormant))
    def submit_while_dormant(self, submission: Submission) -> None:
        """Not even what is one's own."""
        answer = self.submit(submission.agent, self.model.proposals[submission.proposal].id)
        self.expect(answer, 403, "agent_dormant")

    @precondition(there_are(ValidationModel.foreign_proposals))
    @forbidden_move(submission=chosen(ValidationModel.foreign_proposals))
    def submit_somebody_elses_proposal(self, submission: Submission) -> None:
        """Only the author decides when a proposal is ready."""
        answer = self.submit(submission.agent, self.model.proposals[submission.proposal].id)
        self.expect(answer, 403, "not_the_author")

    @precondition(there_are(ValidationModel.own_submitted))
    @forbidden_move(submission=chosen(ValidationModel.own_submitted))
    def submit_a_proposal_twice(self, submission: Submission) -> None:
        """A proposal is a draft once."""
        answer = self.submit(submission.agent, self.model.proposals[submission.proposal].id)
        self.expect(answer, 409, "proposal_not_draft")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(
        agent=chosen(ValidationModel.awake), proposal_id=ids_that_name_none_of(ValidationModel.proposal_ids)
    )
    def submit_an_unknown_proposal(self, agent: str, proposal_id: str) -> None:
        """The id of something else is not the id of a proposal."""
        self.expect(self.submit(agent, proposal_id), 404, "proposal_not_found")

    @forbidden_move(proposal_id=ids_that_name_none_of(ValidationModel.proposal_ids))
    def read_an_unknown_proposal(self, proposal_id: str) -> None:
        """The id of something else is not the id of a proposal."""
        self.expect(self.read(f"/proposals/{proposal_id}"), 404, "proposal_not_found")

    @forbidden_move(no_id=st.sampled_from(["p1", "0", "%00", "00000000-0000-0000-0000-00000000000g"]))
    def read_a_proposal_by_what_is_no_id(self, no_id: str) -> None:
        """What is no id at all is malformed, not unknown."""
        self.expect(self.read(f"/proposals/{no_id}"), 422, "malformed_request")


class ValidationRules(ValidationActions):
    """Approving, rejecting and wanting strengthened, once, what others submitted."""

    @precondition(there_are(ValidationModel.ballots))
    @move(ballot=chosen(ValidationModel.ballots), verdict=VERDICTS, critique=prose())
    def validate_a_proposal(self, ballot: Ballot, verdict: str, critique: str) -> None:
        """The first vote of an agent on another's open proposal counts; the second of a kind decides."""
        self.an_agent_votes(ballot, verdict, critique)

    @precondition(there_are(ValidationModel.own_ballots))
    @forbidden_move(ballot=chosen(ValidationModel.own_ballots), verdict=VERDICTS)
    def validate_ones_own_proposal(self, ballot: Ballot, verdict: str) -> None:
        """No author judges itself."""
        self.expect(self._vote(ballot, verdict), 403, "own_proposal")

    @precondition(there_are(ValidationModel.second_ballots))
    @forbidden_move(ballot=chosen(ValidationModel.second_ballots), verdict=VERDICTS)
    def validate_a_second_time(self, ballot: Ballot, verdict: str) -> None:
        """An agent neither votes twice nor changes its mind."""
        self.expect(self._vote(ballot, verdict), 409, "already_validated")

    @precondition(there_are(ValidationModel.ballots_on_drafts))
    @forbidden_move(ballot=chosen(ValidationModel.ballots_on_drafts), verdict=VERDICTS)
    def validate_a_draft(self, ballot: Ballot, verdict: str) -> None:
        """What is not submitted is not judged."""
        self.expect(self._vote(ballot, verdict), 409, "proposal_not_validating")

    @precondition(there_are(ValidationModel.ballots_on_decided))
    @forbidden_move(ballot=chosen(ValidationModel.ballots_on_decided), verdict=VERDICTS)
    def validate_a_decided_proposal(self, ballot: Ballot, verdict: str) -> None:
        """What is decided stays decided."""
        self.expect(self._vote(ballot, verdict), 409, "proposal_not_validating")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(
        agent=chosen(ValidationModel.awake),
        proposal_id=ids_that_name_none_of(ValidationModel.proposal_ids),
        verdict=VERDICTS,
    )
    def validate_an_unknown_proposal(self, agent: str, proposal_id: str, verdict: str) -> None:
        """The id of something else is not the id of a proposal."""
        answer = self.vote(agent, proposal_id, {"verdict": verdict, "critique": "A critique."})
        self.expect(answer, 404, "proposal_not_found")

    @precondition(there_are(ValidationModel.ballots))
    @forbidden_move(ballot=chosen(ValidationModel.ballots), spoilt=st.sampled_from(sorted(SPOILT_BALLOTS)))
    def validate_with_a_malformed_ballot(self, ballot: Ballot, spoilt: str) -> None:
        """A verdict without reasons is not counted, even of an agent that may vote."""
        answer = self.vote(ballot.voter, self.model.proposals[ballot.proposal].id, SPOILT_BALLOTS[spoilt])
        self.expect(answer, 422, "malformed_request")

    @precondition(there_are(ValidationModel.ballots_of_the_dormant))
    @forbidden_move(ballot=chosen(ValidationModel.ballots_of_the_dormant), verdict=VERDICTS)
    def validate_while_dormant(self, ballot: Ballot, verdict: str) -> None:
        """Who was not heard of for seven days says so first that it is still there."""
        self.expect(self._vote(ballot, verdict), 403, "agent_dormant")

    def _vote(self, ballot: Ballot, verdict: str) -> Answer:
        body = {"verdict": verdict, "critique": "A critique."}
        return self.vote(ballot.voter, self.model.proposals[ballot.proposal].id, body)


BAD_CHAINS = st.one_of(
    st.tuples(st.just("chain_too_short"), DRAFTS_WITH_TOO_FEW_EVENTS),
    st.tuples(st.just("chain_not_chronological"), DRAFTS_OUT_OF_ORDER),
    st.tuples(st.just("chain_ends_after_its_future"), DRAFTS_THAT_END_TOO_LATE),
)


class RevisionRules(ProposalActions):
    """Rewriting what others want strengthened."""

    @precondition(there_are(ValidationModel.own_revisable))
    @move(submission=chosen(ValidationModel.own_revisable), draft=DRAFTS)
    def revise_a_proposal(self, submission: Submission, draft: Draft) -> None:
        """An author does as it was asked to."""
        self.an_agent_revises(submission, draft)

    @precondition(there_are(ValidationModel.own_unwanted))
    @forbidden_move(submission=chosen(ValidationModel.own_unwanted), draft=DRAFTS)
    def revise_what_nobody_wants_strengthened(self, submission: Submission, draft: Draft) -> None:
        """A wish is answered by one revision; the next one needs another wish."""
        self.expect(self._revise(submission, draft), 409, "revision_not_asked_for")

    @precondition(there_are(ValidationModel.own_drafts))
    @forbidden_move(submission=chosen(ValidationModel.own_drafts), draft=DRAFTS)
    def revise_a_draft(self, submission: Submission, draft: Draft) -> None:
        """What is not submitted has no revisions."""
        self.expect(self._revise(submission, draft), 409, "proposal_not_validating")

    @precondition(there_are(ValidationModel.own_decided))
    @forbidden_move(submission=chosen(ValidationModel.own_decided), draft=DRAFTS)
    def revise_a_decided_proposal(self, submission: Submission, draft: Draft) -> None:
        """What was decided is what stands there."""
        self.expect(self._revise(submission, draft), 409, "proposal_not_validating")

    @precondition(there_are(ValidationModel.foreign_proposals))
    @forbidden_move(submission=chosen(ValidationModel.foreign_proposals), draft=DRAFTS)
    def revise_somebody_elses_proposal(self, submission: Submission, draft: Draft) -> None:
        """Who wants it strengthened leaves that to the author."""
        self.expect(self._revise(submission, draft), 403, "not_the_author")

    @precondition(there_are(ValidationModel.awake))
    @forbidden_move(
        agent=chosen(ValidationModel.awake),
        proposal_id=ids_that_name_none_of(ValidationModel.proposal_ids),
        draft=DRAFTS,
    )
    def revise_an_unknown_proposal(self, agent: str, proposal_id: str, draft: Draft) -> None:
        """The id of something else is not the id of a proposal."""
        self.expect(self.revise(agent, proposal_id, draft), 404, "proposal_not_found")

    @precondition(there_are(ValidationModel.all_proposals))
    @forbidden_move(submission=chosen(ValidationModel.all_proposals), bad_chain=BAD_CHAINS)
    def revise_with_a_bad_chain(self, submission: Submission, bad_chain: tuple[str, Draft]) -> None:
        """A revision is no way around what a draft must be like, whosever proposal it is."""
        code, draft = bad_chain
        self.expect(self._revise(submission, draft), 422, code)

    @precondition(there_are(ValidationModel.own_revisable))
    @forbidden_move(submission=chosen(ValidationModel.own_revisable), draft=DRAFTS_OF_NO_FUTURE)
    def revise_to_a_year_that_is_no_future(self, submission: Submission, draft: Draft) -> None:
        """A future does not lie in this year, even if that was still to come when it was drafted."""
        self.expect(self._revise(submission, draft), 422, "year_not_in_the_future")

    @precondition(there_are(ValidationModel.all_proposals))
    @forbidden_move(
        submission=chosen(ValidationModel.all_proposals), draft=DRAFTS, spoilt=st.sampled_from(sorted(SPOILT_DRAFTS))
    )
    def revise_into_something_malformed(self, submission: Submission, draft: Draft, spoilt: str) -> None:
        """What is no draft is no revision, whosever proposal it would be of."""
        path = f"/proposals/{self.model.proposals[submission.proposal].id}/revise"
        answer = self.send_as(submission.agent, "POST", path, SPOILT_DRAFTS[spoilt](draft.body()))
        self.expect(answer, 422, "malformed_request")

    @precondition(there_are(ValidationModel.proposals_before_the_dormant))
    @forbidden_move(submission=chosen(ValidationModel.proposals_before_the_dormant), draft=DRAFTS)
    def revise_while_dormant(self, submission: Submission, draft: Draft) -> None:
        """Who was not heard of for seven days says so first that it is still there."""
        self.expect(self._revise(submission, draft), 403, "agent_dormant")

    def _revise(self, submission: Submission, draft: Draft) -> Answer:
        return self.revise(submission.agent, self.model.proposals[submission.proposal].id, draft)
