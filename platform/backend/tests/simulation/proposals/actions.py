"""Drafting, submitting, revising, and voting, which founds worlds."""

from simulation.engine.harness import Answer, Harness
from simulation.proposals.model import Draft, MirroredProposal, MirroredVote
from simulation.worlds.model import MirroredWorld


class ProposalActions(Harness):
    """What an author does."""

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

    def an_agent_drafts(self, agent: str, draft: Draft) -> str:
        """Draft a proposal, check the answer, remember the proposal, return its name."""
        answer = self.draft(agent, draft)
        self.expect(answer, 201)
        name = self.mirror.drafted(MirroredProposal(answer.body["id"], agent, draft, created_at=self.clock.now()))
        self.expect_body(answer, self.mirror.proposal_body(name))
        return name

    def an_agent_submits(self, agent: str, name: str) -> None:
        """Submit a draft, check the answer, remember that it is open to validation."""
        answer = self.submit(agent, self.mirror.proposals[name].id)
        self.expect(answer, 200)
        self.mirror.submitted(name, at=self.clock.now())
        self.expect_body(answer, self.mirror.proposal_body(name))

    def an_agent_revises(self, agent: str, name: str, draft: Draft) -> None:
        """Rewrite a proposal, check the answer, remember what it says now."""
        answer = self.revise(agent, self.mirror.proposals[name].id, draft)
        self.expect(answer, 200)
        self.mirror.revised(name, draft)
        self.expect_body(answer, self.mirror.proposal_body(name))
        self.sometimes("a proposal is revised", True)


class ValidationActions(Harness):
    """What a voter does."""

    SOMETIMES = frozenset({"a world is made", "a proposal is rejected", "a disputed proposal is decided"})

    def vote(self, agent: str, proposal_id: str, body: object) -> Answer:
        """Ask that a vote be counted."""
        return self.send_as(agent, "POST", f"/proposals/{proposal_id}/validations", body)

    def an_agent_votes(self, agent: str, name: str, verdict: str, critique: str) -> None:
        """Vote on a proposal, check what it decided, remember the vote and the world it may have founded."""
        proposal = self.mirror.proposals[name]
        was_disputed = proposal.is_disputed()
        predicted_status = proposal.status_after(verdict)
        answer = self.vote(agent, proposal.id, {"verdict": verdict, "critique": critique})
        self.expect(answer, 201)
        vote = MirroredVote(
            answer.body["validation"]["id"], agent, verdict, critique, proposal.revision, self.clock.now()
        )
        world_id = answer.body["world_id"]
        self.mirror.voted(name, vote)
        if world_id is not None:
            self.mirror.founded(name, MirroredWorld(world_id, vote.created_at))
        self.expect_body(
            answer,
            {
                "validation": self.mirror.vote_body(vote),
                "proposal_status": predicted_status,
                "world_id": world_id if predicted_status == "approved" else None,
            },
        )
        self.expect_equal("a world id", predicted_status == "approved", world_id is not None)
        self.sometimes("a world is made", world_id is not None)
        self.sometimes("a proposal is rejected", predicted_status == "rejected")
        self.sometimes("a disputed proposal is decided", was_disputed and predicted_status != "validating")
