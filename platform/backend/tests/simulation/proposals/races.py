"""Authors and voters at once."""

from functools import partial
from itertools import cycle

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import clash
from simulation.engine.choosing import chosen, some_about_one, there_are
from simulation.engine.linearization import Move
from simulation.proposals.model import MAX_OPEN_PROPOSALS, Ballot, Draft, Submission
from simulation.proposals.strategies import DRAFTS, VERDICTS
from simulation.state_mirror import StateMirror


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


class ValidationClashes(ProposalClashes):
    """Voting at once, and while the author rewrites."""

    SOMETIMES = frozenset({"a vote comes too late as others have decided at once"})

    @precondition(there_are(StateMirror.ballots))
    @clash(
        ballots=some_about_one(StateMirror.ballots, lambda _mirror, ballot: ballot.proposal),
        verdicts=st.lists(VERDICTS, min_size=1, max_size=2),
    )
    def validate_one_proposal_at_once(self, data: DataObject, ballots: list[Ballot], verdicts: list[str]) -> None:
        """The second vote of a kind decides, no later one counts, and what is approved has one world."""
        self.at_once(data, *self._votes(ballots, verdicts))

    @precondition(there_are(StateMirror.ballots))
    @clash(
        ballots=some_about_one(StateMirror.ballots, lambda mirror, ballot: mirror.proposals[ballot.proposal].author),
        verdicts=st.lists(VERDICTS, min_size=1, max_size=2),
    )
    def tell_one_author_at_once(self, data: DataObject, ballots: list[Ballot], verdicts: list[str]) -> None:
        """Votes on all that it has open are told to an author one after another, each once."""
        self.at_once(data, *self._votes(ballots, verdicts))

    @precondition(there_are(StateMirror.own_revisable))
    @clash(
        submission=chosen(StateMirror.own_revisable),
        draft=DRAFTS,
        times=st.sampled_from([1, 2]),
        verdicts=st.lists(VERDICTS, min_size=1, max_size=2),
    )
    def revise_one_proposal_at_once(
        self, data: DataObject, submission: Submission, draft: Draft, times: int, verdicts: list[str]
    ) -> None:
        """One wish is good for one revision, and whoever has a vote gives it on the one before or on the next."""
        ballots = [ballot for ballot in self.mirror.ballots() if ballot.proposal == submission.proposal]
        revisions = [partial(self.revises_unless_refused, submission, draft)] * (times if ballots else 2)
        self.at_once(data, *revisions, *self._votes(ballots[:2], verdicts))

    def _votes(self, ballots: list[Ballot], verdicts: list[str]) -> list[Move]:
        pairs = zip(ballots, cycle(verdicts), strict=False)
        return [partial(self.votes_unless_refused, ballot, verdict) for ballot, verdict in pairs]

    def votes_unless_refused(self, ballot: Ballot, verdict: str) -> None:
        """Vote on a proposal that may have been decided meanwhile."""
        refusal = self.mirror.refusal_of_a_vote(ballot)
        body = {"verdict": verdict, "critique": "A critique."}
        self.done_unless_refused(
            refusal,
            act=partial(self.an_agent_votes, *ballot, verdict, body["critique"]),
            ask=partial(self.vote, ballot.voter, self.mirror.proposals[ballot.proposal].id, body),
        )
        too_late = refusal is not None and refusal.code == "proposal_not_validating"
        self.sometimes("a vote comes too late as others have decided at once", too_late)
