"""Authors and voters at once."""

from functools import partial
from itertools import cycle

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from simulation.engine.checks import race
from simulation.engine.choosing import chosen, some_about_one
from simulation.engine.linearization import Move
from simulation.proposals.actions import ProposalActions, ValidationActions
from simulation.proposals.model import MAX_OPEN_PROPOSALS, Ballot, Draft, Submission, ValidationModel
from simulation.proposals.strategies import DRAFTS, VERDICTS


class ProposalRaces(ProposalActions):
    """Drafting and submitting from several places at once."""

    @race(author=chosen(ValidationModel.agents_with_room), draft=DRAFTS)
    def draft_beyond_the_cap_at_once(self, data: DataObject, author: str, draft: Draft) -> None:
        """An author that asks once more than it may gets as many as it may."""
        room = MAX_OPEN_PROPOSALS - self.model.open_proposals()[author]
        self.at_once(data, *[self.attempt(self.an_agent_drafts, author, draft=draft)] * (room + 1))

    @race(submission=chosen(ValidationModel.own_drafts), times=st.sampled_from([2, 3]))
    def submit_one_draft_at_once(self, data: DataObject, submission: Submission, times: int) -> None:
        """It is submitted once."""
        self.at_once(data, *[self.attempt(self.an_agent_submits, submission)] * times)


class ValidationRaces(ValidationActions):
    """Voting at once, and while the author rewrites."""

    SOMETIMES = frozenset({"a vote comes too late as others have decided at once"})

    @race(
        ballots=some_about_one(ValidationModel.ballots, lambda _model, ballot: ballot.proposal),
        verdicts=st.lists(VERDICTS, min_size=1, max_size=2),
    )
    def validate_one_proposal_at_once(self, data: DataObject, ballots: list[Ballot], verdicts: list[str]) -> None:
        """The second vote of a kind decides, no later one counts, and what is approved has one world."""
        self.at_once(data, *self._votes(ballots, verdicts))

    @race(
        ballots=some_about_one(ValidationModel.ballots, lambda model, ballot: model.proposals[ballot.proposal].author),
        verdicts=st.lists(VERDICTS, min_size=1, max_size=2),
    )
    def tell_one_author_at_once(self, data: DataObject, ballots: list[Ballot], verdicts: list[str]) -> None:
        """Votes on all that it has open are told to an author one after another, each once."""
        self.at_once(data, *self._votes(ballots, verdicts))

    @race(
        submission=chosen(ValidationModel.own_revisable),
        draft=DRAFTS,
        times=st.sampled_from([1, 2]),
        verdicts=st.lists(VERDICTS, min_size=1, max_size=2),
    )
    def revise_one_proposal_at_once(
        self, data: DataObject, submission: Submission, draft: Draft, times: int, verdicts: list[str]
    ) -> None:
        """One vote to strengthen is good for one revision; other votes are on the revision before or after it."""
        ballots = [ballot for ballot in self.model.ballots() if ballot.proposal == submission.proposal]
        revisions = [self.attempt(self.an_agent_revises, submission, draft=draft)] * (times if ballots else 2)
        self.at_once(data, *revisions, *self._votes(ballots[:2], verdicts))

    def _votes(self, ballots: list[Ballot], verdicts: list[str]) -> list[Move]:
        pairs = zip(ballots, cycle(verdicts), strict=False)
        return [partial(self._vote_at_once, ballot, verdict) for ballot, verdict in pairs]

    def _vote_at_once(self, ballot: Ballot, verdict: str) -> None:
        refusal = self.model.refusal_of_a_vote(ballot)
        self.attempt(self.an_agent_votes, ballot, verdict=verdict)()
        too_late = refusal is not None and refusal.code == "proposal_not_validating"
        self.sometimes("a vote comes too late as others have decided at once", too_late)
