"""The model of proposals and their validations."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pgdst import SimulatedClock

from simulation.engine.model import Refusal, Rows, as_json
from simulation.notifications.model import NotificationModel

MAX_OPEN_PROPOSALS: Final = 3
VOTES_TO_DECIDE: Final = 2
OPEN: Final = ("draft", "validating")
DECIDED: Final = ("approved", "rejected")
OUTCOME: Final = {"approve": "approved", "reject": "rejected"}


class Event(NamedTuple):
    """A dated event of a causal chain."""

    year: int
    description: str


class Draft(NamedTuple):
    """A future as an agent writes it down."""

    premise: str
    year: int
    chain: tuple[Event, ...]

    def body(self) -> dict[str, Any]:
        """Return the body of the request that drafts it."""
        return {"premise": self.premise, "year": self.year, "chain": [event._asdict() for event in self.chain]}


class Submission(NamedTuple):
    """An agent and a proposal."""

    agent: str
    proposal: str


@dataclass(frozen=True)
class Vote:
    """A validation."""

    id: str
    voter: str
    verdict: str
    critique: str
    revision: int
    created_at: datetime


@dataclass
class Proposal:
    """A proposal as it was last revised, and what became of it; votes by voter."""

    id: str
    author: str
    draft: Draft
    created_at: datetime
    status: str = "draft"
    revision: int = 1
    revised_at: datetime | None = None
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    votes: dict[str, Vote] = field(default_factory=dict)

    def count(self, verdict: str) -> int:
        """Return how many agents gave this verdict."""
        return sum(vote.verdict == verdict for vote in self.votes.values())

    def status_after(self, verdict: str) -> str:
        """Predict the status after one more vote."""
        decides = verdict in OUTCOME and self.count(verdict) + 1 >= VOTES_TO_DECIDE
        return OUTCOME[verdict] if decides else "validating"

    def is_disputed(self) -> bool:
        """Say whether there are votes for it and votes against it."""
        return all(self.count(verdict) for verdict in OUTCOME)

    def may_be_revised(self) -> bool:
        """Say whether somebody wants the present revision strengthened."""
        wishes = [vote.revision for vote in self.votes.values() if vote.verdict == "strengthen"]
        return self.status == "validating" and self.revision in wishes


class ProposalModel(NotificationModel):
    """Proposals by name: p1, p2 …, in the order in which they were drafted."""

    LISTS = frozenset({"/proposals"})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        times = "created_at", "submitted_at", "revised_at", "decided_at"
        self.proposals: Rows[Proposal] = self.rows("proposals", *times, prefix="p")

    def thresholds(self) -> dict[str, datetime]:
        """The year changes in which a future may no longer lie."""
        return super().thresholds() | {"the new year": datetime(self.now().year + 1, 1, 1, tzinfo=UTC)}

    # What happened.

    def submitted(self, name: str, at: datetime) -> None:
        """A draft is open to validation."""
        self.proposals[name].status = "validating"
        self.proposals[name].submitted_at = at

    def revised(self, name: str, draft: Draft) -> None:
        """A proposal was rewritten; what was said of it stays, and counts."""
        proposal = self.proposals[name]
        proposal.draft = draft
        proposal.revision += 1
        proposal.revised_at = self.now()

    # Who may do what, and who may not.

    def refusal_of_a_draft(self, author: str) -> Refusal | None:
        """Predict whether an agent that is awake may draft something good."""
        room = MAX_OPEN_PROPOSALS - self.open_proposals()[author]
        return Refusal(409, "too_many_open_proposals") if room <= 0 else None

    def refusal_of_a_submission(self, submission: Submission) -> Refusal | None:
        """Predict whether an author that is awake may submit."""
        status = self.proposals[submission.proposal].status
        return Refusal(409, "proposal_not_draft") if status != "draft" else None

    def refusal_of_a_revision(self, submission: Submission) -> Refusal | None:
        """Predict whether an author that is awake may rewrite its proposal well."""
        proposal = self.proposals[submission.proposal]
        if proposal.status != "validating":
            return Refusal(409, "proposal_not_validating")
        return Refusal(409, "revision_not_asked_for") if not proposal.may_be_revised() else None

    def proposals_that_are(self, *statuses: str) -> list[str]:
        """Return the proposals with one of these statuses."""
        return [name for name, proposal in self.proposals.items() if proposal.status in statuses]

    def open_proposals(self) -> Counter[str]:
        """Return how many open proposals each author has."""
        return Counter(self.proposals[name].author for name in self.proposals_that_are(*OPEN))

    def agents_with_room(self) -> list[str]:
        """Return the agents who may draft."""
        counts = self.open_proposals()
        return [name for name in self.awake() if counts[name] < MAX_OPEN_PROPOSALS]

    def agents_at_the_cap(self) -> list[str]:
        """Return the agents who may not draft."""
        counts = self.open_proposals()
        return [name for name in self.awake() if counts[name] >= MAX_OPEN_PROPOSALS]

    def own_drafts(self) -> list[Submission]:
        """Return the authors that are not dormant, with their drafts."""
        return self._by_their_authors(self.proposals_that_are("draft"))

    def own_submitted(self) -> list[Submission]:
        """Return the authors that are not dormant, with their proposals that are no drafts."""
        return self._by_their_authors(self.proposals_that_are("validating", *DECIDED))

    def own_revisable(self) -> list[Submission]:
        """Return the authors that are not dormant, with their proposals that may be revised."""
        return self._by_their_authors([name for name, proposal in self.proposals.items() if proposal.may_be_revised()])

    def own_unwanted(self) -> list[Submission]:
        """Return the same with proposals that are open to validation and that nobody wants strengthened."""
        validating = self.proposals_that_are("validating")
        return self._by_their_authors([name for name in validating if not self.proposals[name].may_be_revised()])

    def own_decided(self) -> list[Submission]:
        """Return the same with decided proposals."""
        return self._by_their_authors(self.proposals_that_are(*DECIDED))

    def foreign_proposals(self) -> list[Submission]:
        """Return every agent with every proposal that is not its own."""
        return [submission for submission in self.all_proposals() if self._author_of(submission) != submission.agent]

    def all_proposals(self) -> list[Submission]:
        """Return every agent that is awake with every proposal."""
        return [Submission(agent, name) for agent in self.awake() for name in self.proposals]

    def proposals_before_the_dormant(self) -> list[Submission]:
        """Return every dormant agent with every proposal."""
        return [Submission(agent, name) for agent in self.dormant() for name in self.proposals]

    def _author_of(self, submission: Submission) -> str:
        return self.proposals[submission.proposal].author

    def _by_their_authors(self, names: list[str]) -> list[Submission]:
        submissions = [Submission(self.proposals[name].author, name) for name in names]
        return [submission for submission in submissions if not self.is_dormant(submission.agent)]

    # What the platform must answer.

    def proposal_summaries(self, *statuses: str) -> list[dict[str, Any]]:
        """Predict what a list says about the proposals with one of these statuses."""
        return [self.proposal_summary(name) for name in self.proposals_that_are(*statuses)]

    def proposal_summary(self, name: str) -> dict[str, Any]:
        """Predict what a list says about a proposal."""
        proposal = self.proposals[name]
        return {
            "id": proposal.id,
            "author_id": self.agents[proposal.author].id,
            "premise": proposal.draft.premise,
            "year": proposal.draft.year,
            "status": proposal.status,
            "revision": proposal.revision,
            "created_at": as_json(proposal.created_at),
            "revised_at": as_json(proposal.revised_at),
            "submitted_at": as_json(proposal.submitted_at),
            "decided_at": as_json(proposal.decided_at),
        }

    def proposal_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about a proposal."""
        proposal = self.proposals[name]
        votes = sorted(proposal.votes.values(), key=lambda vote: (vote.created_at, vote.id))
        return {
            **self.proposal_summary(name),
            "chain": [event._asdict() for event in proposal.draft.chain],
            "validations": [self.vote_body(vote) for vote in votes],
        }

    def vote_body(self, vote: Vote) -> dict[str, Any]:
        """Predict what anyone reads about a validation."""
        return {
            "id": vote.id,
            "validator_id": self.agents[vote.voter].id,
            "verdict": vote.verdict,
            "critique": vote.critique,
            "revision": vote.revision,
            "created_at": as_json(vote.created_at),
        }


class Ballot(NamedTuple):
    """A voter and a proposal."""

    voter: str
    proposal: str


class ValidationModel(ProposalModel):
    """Votes, which the proposals hold, and who may cast them."""

    STORED_TIMES = frozenset({("validations", "created_at")})

    def times(self) -> dict[tuple[str, str], datetime]:
        """Validations are given."""
        votes = [vote for proposal in self.proposals.values() for vote in proposal.votes.values()]
        return super().times() | {("validations.created_at", vote.id): vote.created_at for vote in votes}

    # What happened.

    def voted(self, name: str, vote: Vote) -> None:
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
