"""Claiming dwellers and letting them go."""

from simulation.harness import Answer, Harness
from simulation.mirror.claims import Holding


class ClaimActions(Harness):
    """What agents do to hold dwellers."""

    SOMETIMES = frozenset(
        {
            "a claim lapsed and was retaken by another",
            "one's own lapsed claim is taken again",
            "one claim settles several",
            "a released dweller is claimed by another",
            "a dormant agent releases",
        }
    )

    def claim(self, agent: str, dweller_id: str) -> Answer:
        """Ask to hold a dweller."""
        return self.send_as(agent, "POST", f"/dwellers/{dweller_id}/claim")

    def release(self, agent: str, dweller_id: str) -> Answer:
        """Ask to hold a dweller no longer."""
        return self.send_as(agent, "POST", f"/dwellers/{dweller_id}/release")

    def an_agent_claims(self, holding: Holding) -> None:
        """Claim a dweller, check the answer, remember the claim and what it settled."""
        dweller_id = self.mirror.dwellers[holding.dweller].id
        answer = self.claim(holding.agent, dweller_id)
        self.expect(answer, 201)
        settled = self.mirror.settled_by(holding)
        claims_before = self.mirror.claims_on(holding.dweller)
        self.mirror.claimed(holding, self._id_of_the_next_claim(holding))
        self.expect_body(answer, self.mirror.dweller_body(holding.dweller))
        self.sometimes("one claim settles several", len(settled) > 1)
        for claim in claims_before[-1:]:
            by_another = claim.agent != holding.agent
            self.sometimes("a claim lapsed and was retaken by another", by_another and claim.ending == "lapsed")
            self.sometimes("one's own lapsed claim is taken again", not by_another and claim.ending == "lapsed")
            self.sometimes("a released dweller is claimed by another", by_another and claim.ending == "released")

    def an_agent_releases(self, holding: Holding) -> None:
        """Release a dweller, check the answer, remember that nobody holds it."""
        answer = self.release(holding.agent, self.mirror.dwellers[holding.dweller].id)
        self.expect(answer, 200)
        self.mirror.released(holding.dweller)
        self.expect_body(answer, self.mirror.dweller_body(holding.dweller))
        self.sometimes("a dormant agent releases", self.mirror.is_dormant(holding.agent))

    def _id_of_the_next_claim(self, holding: Holding) -> str:
        """Return the id of the first claim of this agent on this dweller that the mirror does not know.

        It is read from the database, as no answer tells it. Only the last claim on a dweller can be open.
        """
        known = {claim.id for claim in self.mirror.claims.values()}
        found = self.observer.execute(
            "SELECT id::text FROM claims WHERE dweller_id = %s AND agent_id = %s "
            "ORDER BY claimed_at, ended_at NULLS LAST, id",
            [self.mirror.dwellers[holding.dweller].id, self.mirror.agents[holding.agent].id],
        )
        new = [claim_id for (claim_id,) in found if claim_id not in known]
        self.expect_equal("a claim in the table", True, bool(new), f"of {holding}")
        return str(new[0])
