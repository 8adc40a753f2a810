"""Voting, which founds worlds."""

from simulation.harness import Answer, Harness
from simulation.mirror.proposals import MirroredVote
from simulation.mirror.worlds import MirroredWorld


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
