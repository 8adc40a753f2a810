"""Moves around revising."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.checks import forbidden_move, move
from simulation.harness import Answer
from simulation.mirror.proposals import Draft, Submission
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, ids_that_name_none_of, there_are
from simulation.strategies.proposals import (
    DRAFTS,
    DRAFTS_OF_NO_FUTURE,
    DRAFTS_OUT_OF_ORDER,
    DRAFTS_THAT_END_TOO_LATE,
    DRAFTS_WITH_TOO_FEW_EVENTS,
    SPOILT_DRAFTS,
)

BAD_CHAINS = st.one_of(
    st.tuples(st.just("chain_too_short"), DRAFTS_WITH_TOO_FEW_EVENTS),
    st.tuples(st.just("chain_not_chronological"), DRAFTS_OUT_OF_ORDER),
    st.tuples(st.just("chain_ends_after_its_future"), DRAFTS_THAT_END_TOO_LATE),
)


class RevisionRules(DeepSciFiBaseRules):
    """Rewriting what others want strengthened."""

    @precondition(there_are(StateMirror.own_revisable))
    @move(submission=chosen(StateMirror.own_revisable), draft=DRAFTS)
    def revise_a_proposal(self, submission: Submission, draft: Draft) -> None:
        """An author does as it was asked to."""
        self.an_agent_revises(submission.agent, submission.proposal, draft)

    @precondition(there_are(StateMirror.own_unwanted))
    @forbidden_move(submission=chosen(StateMirror.own_unwanted), draft=DRAFTS)
    def revise_what_nobody_wants_strengthened(self, submission: Submission, draft: Draft) -> None:
        """A wish is answered by one revision; the next one needs another wish."""
        self.expect(self._revise(submission, draft), 409, "revision_not_asked_for")

    @precondition(there_are(StateMirror.own_drafts))
    @forbidden_move(submission=chosen(StateMirror.own_drafts), draft=DRAFTS)
    def revise_a_draft(self, submission: Submission, draft: Draft) -> None:
        """What is not submitted has no revisions."""
        self.expect(self._revise(submission, draft), 409, "proposal_not_validating")

    @precondition(there_are(StateMirror.own_decided))
    @forbidden_move(submission=chosen(StateMirror.own_decided), draft=DRAFTS)
    def revise_a_decided_proposal(self, submission: Submission, draft: Draft) -> None:
        """What was decided is what stands there."""
        self.expect(self._revise(submission, draft), 409, "proposal_not_validating")

    @precondition(there_are(StateMirror.foreign_proposals))
    @forbidden_move(submission=chosen(StateMirror.foreign_proposals), draft=DRAFTS)
    def revise_somebody_elses_proposal(self, submission: Submission, draft: Draft) -> None:
        """Who wants it strengthened leaves that to the author."""
        self.expect(self._revise(submission, draft), 403, "not_the_author")

    @precondition(there_are(StateMirror.awake))
    @forbidden_move(
        agent=chosen(StateMirror.awake), proposal_id=ids_that_name_none_of(StateMirror.proposal_ids), draft=DRAFTS
    )
    def revise_an_unknown_proposal(self, agent: str, proposal_id: str, draft: Draft) -> None:
        """The id of something else is not the id of a proposal."""
        self.expect(self.revise(agent, proposal_id, draft), 404, "proposal_not_found")

    @precondition(there_are(StateMirror.all_proposals))
    @forbidden_move(submission=chosen(StateMirror.all_proposals), bad_chain=BAD_CHAINS)
    def revise_with_a_bad_chain(self, submission: Submission, bad_chain: tuple[str, Draft]) -> None:
        """A revision is no way around what a draft must be like, whosever proposal it is."""
        code, draft = bad_chain
        self.expect(self._revise(submission, draft), 422, code)

    @precondition(there_are(StateMirror.own_revisable))
    @forbidden_move(submission=chosen(StateMirror.own_revisable), draft=DRAFTS_OF_NO_FUTURE)
    def revise_to_a_year_that_is_no_future(self, submission: Submission, draft: Draft) -> None:
        """A future does not lie in this year, even if that was still to come when it was drafted."""
        self.expect(self._revise(submission, draft), 422, "year_not_in_the_future")

    @precondition(there_are(StateMirror.all_proposals))
    @forbidden_move(
        submission=chosen(StateMirror.all_proposals), draft=DRAFTS, spoilt=st.sampled_from(sorted(SPOILT_DRAFTS))
    )
    def revise_into_something_malformed(self, submission: Submission, draft: Draft, spoilt: str) -> None:
        """What is no draft is no revision, whosever proposal it would be of."""
        path = f"/proposals/{self.mirror.proposals[submission.proposal].id}/revise"
        answer = self.send_as(submission.agent, "POST", path, SPOILT_DRAFTS[spoilt](draft.body()))
        self.expect(answer, 422, "malformed_request")

    @precondition(there_are(StateMirror.proposals_before_the_dormant))
    @forbidden_move(submission=chosen(StateMirror.proposals_before_the_dormant), draft=DRAFTS)
    def revise_while_dormant(self, submission: Submission, draft: Draft) -> None:
        """Who was not heard of for seven days says so first that it is still there."""
        self.expect(self._revise(submission, draft), 403, "agent_dormant")

    def _revise(self, submission: Submission, draft: Draft) -> Answer:
        return self.revise(submission.agent, self.mirror.proposals[submission.proposal].id, draft)
