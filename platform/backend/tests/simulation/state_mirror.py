"""What the platform must look like, kept by the simulation beside it.

The mirror knows the rules from the issue, not from the code: nothing here imports deepsci. It predicts what a request
must do, and it knows who may do what, which is what the strategies choose from. Agents go by their usernames, proposals
by p1, p2 …, in the order in which they were drafted; a world goes by its proposal.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

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
    """What an agent writes down about a future."""

    premise: str
    year: int
    chain: tuple[Event, ...]

    def body(self) -> dict[str, Any]:
        """Return the body of the request that drafts it."""
        return {"premise": self.premise, "year": self.year, "chain": [event._asdict() for event in self.chain]}


class Submission(NamedTuple):
    """Who submits what."""

    agent: str
    proposal: str


class Ballot(NamedTuple):
    """Who votes on what."""

    voter: str
    proposal: str


@dataclass(frozen=True)
class MirroredAgent:
    """An agent, with the key only it and the mirror know."""

    id: str
    username: str
    api_key: str
    created_at: datetime


@dataclass(frozen=True)
class MirroredVote:
    """What an agent said of a proposal."""

    id: str
    voter: str
    verdict: str
    critique: str
    created_at: datetime


@dataclass(frozen=True)
class MirroredWorld:
    """A world, whose premise and year are those of its proposal."""

    id: str
    created_at: datetime


@dataclass
class MirroredProposal:
    """A proposal and what became of it; votes by voter."""

    id: str
    author: str
    draft: Draft
    created_at: datetime
    status: str = "draft"
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    votes: dict[str, MirroredVote] = field(default_factory=dict)
    world: MirroredWorld | None = None

    def count(self, verdict: str) -> int:
        """Return how many agents gave this verdict."""
        return sum(vote.verdict == verdict for vote in self.votes.values())

    def status_after(self, verdict: str) -> str:
        """Predict the status after one more vote."""
        return OUTCOME[verdict] if self.count(verdict) + 1 >= VOTES_TO_DECIDE else "validating"


class StateMirror:
    """The platform as it must be."""

    def __init__(self) -> None:
        self.agents: dict[str, MirroredAgent] = {}
        self.proposals: dict[str, MirroredProposal] = {}

    def called(self, key: object) -> str:
        """Return the key of a row, or its parts, with the names by which the steps of a run call them."""
        parts = key if isinstance(key, tuple) else (key,)
        return " ".join(f"{self._name_of(part)} ({part})" if self._name_of(part) else str(part) for part in parts)

    def _name_of(self, id_: object) -> str | None:
        agents = {agent.id: name for name, agent in self.agents.items()}
        proposals = {proposal.id: name for name, proposal in self.proposals.items()}
        worlds = {p.world.id: f"the world of {name}" for name, p in self.proposals.items() if p.world is not None}
        return (agents | proposals | worlds).get(str(id_))

    # What happened.

    def registered(self, agent: MirroredAgent) -> None:
        """An agent is there."""
        self.agents[agent.username] = agent

    def drafted(self, proposal: MirroredProposal) -> str:
        """A proposal is there; return its name."""
        name = f"p{len(self.proposals) + 1}"
        self.proposals[name] = proposal
        return name

    def submitted(self, name: str, at: datetime) -> None:
        """A draft is open to validation."""
        self.proposals[name].status = "validating"
        self.proposals[name].submitted_at = at

    def voted(self, name: str, vote: MirroredVote, world_id: str | None) -> None:
        """A vote was cast, and may have decided the proposal."""
        proposal = self.proposals[name]
        proposal.status = proposal.status_after(vote.verdict)
        proposal.votes[vote.voter] = vote
        proposal.decided_at = vote.created_at if proposal.status in DECIDED else None
        proposal.world = MirroredWorld(world_id, vote.created_at) if world_id is not None else None

    # Who may do what, and who may not.

    def names(self) -> list[str]:
        """Return the agents."""
        return list(self.agents)

    def proposal_names(self) -> list[str]:
        """Return the proposals."""
        return list(self.proposals)

    def world_names(self) -> list[str]:
        """Return the proposals that founded a world."""
        return [name for name, proposal in self.proposals.items() if proposal.world is not None]

    def open_proposals(self) -> Counter[str]:
        """Return how many open proposals each author has."""
        return Counter(proposal.author for proposal in self.proposals.values() if proposal.status in OPEN)

    def agents_with_room(self) -> list[str]:
        """Return the agents who may draft."""
        return [name for name in self.agents if self.open_proposals()[name] < MAX_OPEN_PROPOSALS]

    def agents_at_the_cap(self) -> list[str]:
        """Return the agents who may not draft."""
        return [name for name in self.agents if self.open_proposals()[name] >= MAX_OPEN_PROPOSALS]

    def own_drafts(self) -> list[Submission]:
        """Return what may be submitted."""
        return [
            Submission(proposal.author, name) for name, proposal in self.proposals.items() if proposal.status == "draft"
        ]

    def own_submitted(self) -> list[Submission]:
        """Return what was submitted already, by whom."""
        return [
            Submission(proposal.author, name) for name, proposal in self.proposals.items() if proposal.status != "draft"
        ]

    def foreign_proposals(self) -> list[Submission]:
        """Return every agent with every proposal that is not its own."""
        return [Submission(*ballot) for ballot in self._ballots() if not self._is_author(ballot)]

    def ballots(self) -> list[Ballot]:
        """Return who may vote on what."""
        return [ballot for ballot in self._foreign_ballots("validating") if not self._has_voted(ballot)]

    def second_ballots(self) -> list[Ballot]:
        """Return who has voted on what is still open."""
        return [ballot for ballot in self._foreign_ballots("validating") if self._has_voted(ballot)]

    def own_ballots(self) -> list[Ballot]:
        """Return every author with its proposals, whatever their status."""
        return [ballot for ballot in self._ballots() if self._is_author(ballot)]

    def ballots_on_drafts(self) -> list[Ballot]:
        """Return every agent with every other agent's draft."""
        return self._foreign_ballots("draft")

    def ballots_on_decided(self) -> list[Ballot]:
        """Return every agent with every decided proposal of another."""
        return self._foreign_ballots(*DECIDED)

    def agent_ids(self) -> list[str]:
        """Return the ids that name agents."""
        return [agent.id for agent in self.agents.values()]

    def proposal_ids(self) -> list[str]:
        """Return the ids that name proposals."""
        return [proposal.id for proposal in self.proposals.values()]

    def world_ids(self) -> list[str]:
        """Return the ids that name worlds."""
        return [proposal.world.id for proposal in self.proposals.values() if proposal.world is not None]

    def ids_of_proposals_with_worlds(self) -> list[str]:
        """Return the ids that are most like those of worlds without being one."""
        return [proposal.id for proposal in self.proposals.values() if proposal.world is not None]

    def _ballots(self) -> list[Ballot]:
        return [Ballot(agent, proposal) for agent in self.agents for proposal in self.proposals]

    def _foreign_ballots(self, *statuses: str) -> list[Ballot]:
        return [
            ballot
            for ballot in self._ballots()
            if not self._is_author(ballot) and self.proposals[ballot.proposal].status in statuses
        ]

    def _is_author(self, ballot: Ballot) -> bool:
        return self.proposals[ballot.proposal].author == ballot.voter

    def _has_voted(self, ballot: Ballot) -> bool:
        return ballot.voter in self.proposals[ballot.proposal].votes

    # What the platform must answer.

    def agent_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about an agent."""
        agent = self.agents[name]
        return {"id": agent.id, "username": agent.username, "created_at": as_json(agent.created_at)}

    def proposal_summary(self, name: str) -> dict[str, Any]:
        """Predict what a list says about a proposal."""
        proposal = self.proposals[name]
        return {
            "id": proposal.id,
            "author_id": self.agents[proposal.author].id,
            "premise": proposal.draft.premise,
            "year": proposal.draft.year,
            "status": proposal.status,
            "created_at": as_json(proposal.created_at),
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

    def vote_body(self, vote: MirroredVote) -> dict[str, Any]:
        """Predict what anyone reads about a validation."""
        return {
            "id": vote.id,
            "validator_id": self.agents[vote.voter].id,
            "verdict": vote.verdict,
            "critique": vote.critique,
            "created_at": as_json(vote.created_at),
        }

    def world_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about the world of a proposal."""
        proposal = self.proposals[name]
        world = proposal.world
        assert world is not None, f"the mirror knows no world of {name}"
        return {
            "id": world.id,
            "proposal_id": proposal.id,
            "premise": proposal.draft.premise,
            "year": proposal.draft.year,
            "created_at": as_json(world.created_at),
        }


def as_json(moment: datetime | None) -> str | None:
    """Return a UTC time as the platform writes it, or None for one that has not come."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def newest_first(bodies: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Predict the order of a list: by time, ties by id, the last first."""
    return sorted(bodies, key=lambda body: (body["created_at"], body["id"]), reverse=True)[:limit]
