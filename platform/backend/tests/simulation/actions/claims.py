"""Claiming dwellers and letting them go."""

from collections.abc import Collection
from typing import LiteralString

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
        claim_id = self.learned_id(
            "SELECT id::text FROM claims WHERE dweller_id = %s ORDER BY claimed_at DESC, id",
            dweller_id,
            [claim.id for claim in claims_before],
        )
        self.mirror.claimed(holding, claim_id)
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

    def learned_id(self, query: LiteralString, of: str, known: Collection[str]) -> str:
        """Return the id of a row that has just come about, and that the mirror does not know.

        It is read from the database, as no answer tells it; any id is as good as another.
        """
        new: list[str] = [row_id for (row_id,) in self.observer.execute(query, [of]) if row_id not in known]
        self.expect_equal("a new row", True, bool(new), f"of {of}")
        return new[0]
