"""What must be so of validations."""

from datetime import datetime
from typing import NamedTuple

from simulation.mirror.part import Refusal
from simulation.mirror.proposals import DECIDED, MirroredVote, ProposalMirror


class Ballot(NamedTuple):
    """Who votes on what."""

    voter: str
    proposal: str


class ValidationMirror(ProposalMirror):
    """Votes, which the proposals hold, and who may cast them."""

    def times(self) -> dict[tuple[str, str], datetime]:
        """Validations are given."""
        votes = [vote for proposal in self.proposals.values() for vote in proposal.votes.values()]
        return super().times() | {("validation given", vote.id): vote.created_at for vote in votes}

    # What happened.

    def voted(self, name: str, vote: MirroredVote) -> None:
        """A vote was cast, which its author is told, and may have decided the proposal."""
        proposal = self.proposals[name]
        proposal.status = proposal.status_after(vote.verdict)
        proposal.votes[vote.voter] = vote
        proposal.decided_at = vote.created_at if proposal.status in DECIDED else None
        self.notified(proposal.author, "proposal_validated", vote.id)

    # Who may do what, and who may not.

    def refusal_of_a_vote(self, ballot: Ballot) -> Refusal | None:
        """Predict whether an agent that is awake may vote on what somebody else submitted."""
        if self.proposals[ballot.proposal].status != "validating":
            return Refusal(409, "proposal_not_validating")
        return Refusal(409, "already_validated") if self._has_voted(ballot) else None

    def ballots(self) -> list[Ballot]:
        """Return who may vote on what."""
        return [ballot for ballot in self._foreign_ballots("validating") if not self._has_voted(ballot)]

    def founding_ballots(self) -> list[Ballot]:
        """Return who may vote on what so that approving founds a world."""
        return [
            ballot for ballot in self.ballots() if self.proposals[ballot.proposal].status_after("approve") in DECIDED
        ]

    def second_ballots(self) -> list[Ballot]:
        """Return who has voted on what is still open."""
        return [ballot for ballot in self._foreign_ballots("validating") if self._has_voted(ballot)]

    def own_ballots(self) -> list[Ballot]:
        """Return every author with its proposals, whatever their status."""
        ballots = [Ballot(proposal.author, name) for name, proposal in self.proposals.items()]
        return [ballot for ballot in ballots if not self.is_dormant(ballot.voter)]

    def ballots_on_drafts(self) -> list[Ballot]:
        """Return every agent with every other agent's draft."""
        return self._foreign_ballots("draft")

    def ballots_on_decided(self) -> list[Ballot]:
        """Return every agent with every decided proposal of another."""
        return self._foreign_ballots(*DECIDED)

    def ballots_of_the_dormant(self) -> list[Ballot]:
        """Return every dormant agent with every proposal."""
        return [Ballot(agent, name) for agent in self.dormant() for name in self.proposals]

    def voters_that_are_left(self, name: str) -> list[str]:
        """Return who has a vote on a proposal yet; the dormant have it once they were heard of."""
        proposal = self.proposals[name]
        return [agent for agent in self.agents if agent != proposal.author and agent not in proposal.votes]

    def _foreign_ballots(self, *statuses: str) -> list[Ballot]:
        open_to_all = self.proposals_that_are(*statuses)
        return [
            Ballot(agent, name)
            for agent in self.awake()
            for name in open_to_all
            if self.proposals[name].author != agent
        ]

    def _has_voted(self, ballot: Ballot) -> bool:
        return ballot.voter in self.proposals[ballot.proposal].votes
