"""Drafting, submitting and revising."""

from simulation.harness import Answer, Harness
from simulation.mirror.proposals import Draft, MirroredProposal


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
