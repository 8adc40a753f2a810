"""What authors do at once."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.base import DeepSciFiBaseRules
from simulation.checks import clash
from simulation.mirror.proposals import MAX_OPEN_PROPOSALS, Draft, Submission
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, there_are
from simulation.strategies.proposals import DRAFTS


class ProposalClashes(DeepSciFiBaseRules):
    """Drafting and submitting from several places at once."""

    @precondition(there_are(StateMirror.agents_with_room))
    @clash(author=chosen(StateMirror.agents_with_room), draft=DRAFTS)
    def draft_beyond_the_cap_at_once(self, data: DataObject, author: str, draft: Draft) -> None:
        """An author that asks once more than it may gets as many as it may."""
        room = MAX_OPEN_PROPOSALS - self.mirror.open_proposals()[author]
        self.at_once(data, *[partial(self._drafts_unless_refused, author, draft)] * (room + 1))

    @precondition(there_are(StateMirror.own_drafts))
    @clash(submission=chosen(StateMirror.own_drafts), times=st.sampled_from([2, 3]))
    def submit_one_draft_at_once(self, data: DataObject, submission: Submission, times: int) -> None:
        """It is submitted once."""
        self.at_once(data, *[partial(self._submits_unless_refused, submission)] * times)

    def revises_unless_refused(self, submission: Submission, draft: Draft) -> None:
        """Revise a proposal that may have been decided or revised meanwhile."""
        self.done_unless_refused(
            self.mirror.refusal_of_a_revision(submission),
            act=partial(self.an_agent_revises, submission.agent, submission.proposal, draft),
            ask=partial(self.revise, submission.agent, self.mirror.proposals[submission.proposal].id, draft),
        )

    def _drafts_unless_refused(self, author: str, draft: Draft) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_a_draft(author),
            act=partial(self.an_agent_drafts, author, draft),
            ask=partial(self.draft, author, draft),
        )

    def _submits_unless_refused(self, submission: Submission) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_a_submission(submission),
            act=partial(self.an_agent_submits, submission.agent, submission.proposal),
            ask=partial(self.submit, submission.agent, self.mirror.proposals[submission.proposal].id),
        )
