"""Drafting, submitting, revising, and voting, which founds worlds."""

from simulation.engine.errands import errand
from simulation.engine.harness import Answer
from simulation.notifications.actions import NotificationActions
from simulation.proposals.model import Ballot, Draft, Proposal, ProposalModel, Submission, Vote
from simulation.proposals.strategies import DRAFTS, VERDICTS
from simulation.worlds.model import World, WorldModel


class ProposalActions(NotificationActions):
    """Drafting, submitting and revising."""

    model: ProposalModel

    SOMETIMES = frozenset({"a proposal is revised"})

    def draft(self, agent: str, draft: Draft) -> Answer:
        """Ask for a new draft."""
        return self.send_as(agent, "POST", "/proposals", draft.body())

    def submit(self, agent: str, proposal_id: str) -> Answer:
        """Ask that a draft be opened to validation."""
        return self.send_as(agent, "POST", f"/proposals/{proposal_id}/submit")

    def revise(self, agent: str, proposal_id: str, draft: Draft) -> Answer:
        """Ask that a proposal be rewritten."""
        return self.send_as(agent, "POST", f"/proposals/{proposal_id}/revise", draft.body())

    @errand(ProposalModel.agents_with_room, refused=ProposalModel.refusal_of_a_draft, draft=DRAFTS)
    def an_agent_drafts(self, agent: str, draft: Draft) -> str:
        """Draft a proposal, check the answer, remember the proposal, return its name."""
        answer = self.draft(agent, draft)
        self.expect(answer, 201)
        name = self.model.proposals.add(Proposal(answer.body["id"], agent, draft, created_at=self.clock.now()))
        self.expect_body(answer, self.model.proposal_body(name))
        return name

    @errand(ProposalModel.own_drafts, refused=ProposalModel.refusal_of_a_submission)
    def an_agent_submits(self, submission: Submission) -> None:
        """Submit a draft, check the answer, remember that it is open to validation."""
        agent, name = submission
        answer = self.submit(agent, self.model.proposals[name].id)
        self.expect(answer, 200)
        self.model.submitted(name, at=self.clock.now())
        self.expect_body(answer, self.model.proposal_body(name))

    @errand(refused=ProposalModel.refusal_of_a_revision)
    def an_agent_revises(self, submission: Submission, draft: Draft) -> None:
        """Rewrite a proposal, check the answer, remember what it says now."""
        agent, name = submission
        answer = self.revise(agent, self.model.proposals[name].id, draft)
        self.expect(answer, 200)
        self.model.revised(name, draft)
        self.expect_body(answer, self.model.proposal_body(name))
        self.sometimes("a proposal is revised", True)


class ValidationActions(ProposalActions):
    """Validating proposals."""

    model: WorldModel

    SOMETIMES = frozenset({"a world is made", "a proposal is rejected", "a disputed proposal is decided"})

    def vote(self, agent: str, proposal_id: str, body: object) -> Answer:
        """Ask that a vote be counted."""
        return self.send_as(agent, "POST", f"/proposals/{proposal_id}/validations", body)

    @errand(WorldModel.ballots, refused=WorldModel.refusal_of_a_vote, verdict=VERDICTS)
    def an_agent_votes(self, ballot: Ballot, verdict: str, critique: str = "A critique.") -> None:
        """Vote on a proposal, check what it decided, remember the vote and the world it may have founded."""
        agent, name = ballot
        proposal = self.model.proposals[name]
        was_disputed = proposal.is_disputed()
        predicted_status = proposal.status_after(verdict)
        answer = self.vote(agent, proposal.id, {"verdict": verdict, "critique": critique})
        self.expect(answer, 201)
        vote = Vote(answer.body["validation"]["id"], agent, verdict, critique, proposal.revision, self.clock.now())
        world_id = answer.body["world_id"]
        self.model.voted(name, vote)
        if world_id is not None:
            self.model.worlds[name] = World(world_id, vote.created_at)
        self.expect_body(
            answer,
            {
                "validation": self.model.vote_body(vote),
                "proposal_status": predicted_status,
                "world_id": world_id if predicted_status == "approved" else None,
            },
        )
        self.expect_equal("a world id", predicted_status == "approved", world_id is not None)
        self.sometimes("a world is made", world_id is not None)
        self.sometimes("a proposal is rejected", predicted_status == "rejected")
        self.sometimes("a disputed proposal is decided", was_disputed and predicted_status != "validating")
