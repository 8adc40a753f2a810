"""Populating worlds, claiming dwellers, letting them go, and acting through them."""

from hypothesis import strategies as st

from simulation.dwellers.dweller_actions_model import Attempt, DwellerActionModel
from simulation.dwellers.model import CLAIM_LASTS, ClaimModel, Dweller, DwellerModel, Holding
from simulation.engine.errands import errand
from simulation.engine.harness import Answer
from simulation.engine.keys import sha256_of
from simulation.worlds.actions import RegionActions


class DwellerActions(RegionActions):
    """Adding dwellers."""

    model: DwellerModel

    def add_dweller(self, agent: str, world_id: str, body: object) -> Answer:
        """Ask for a new dweller."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/dwellers", body)

    def a_founder_adds_a_dweller(self, region: str, name: str, persona: str) -> str:
        """Add a dweller to a region, check the answer, remember the dweller, return what it is called in the model."""
        known = self.model.regions[region]
        body = {"region_id": known.id, "name": name, "persona": persona}
        answer = self.add_dweller(self.model.founder(known.world), self.model.worlds[known.world].id, body)
        self.expect(answer, 201)
        dweller = self.model.dwellers.add(
            Dweller(answer.body["id"], known.world, region, name, persona, self.clock.now())
        )
        self.expect_body(answer, self.model.dweller_body(dweller))
        return dweller


class ClaimActions(DwellerActions):
    """Claiming and releasing dwellers."""

    model: ClaimModel

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

    @errand(ClaimModel.claimable, refused=ClaimModel.refusal_of_a_claim)
    def an_agent_claims(self, holding: Holding) -> None:
        """Claim a dweller, check the answer, remember the claim and what it settled."""
        dweller_id = self.model.dwellers[holding.dweller].id
        answer = self.claim(holding.agent, dweller_id)
        self.expect(answer, 201)
        settled = self.model.settled_by(holding)
        claims_before = self.model.claims_on(holding.dweller)
        self.model.claimed(holding, self._id_of_the_next_claim(holding))
        self.expect_body(answer, self.model.dweller_body(holding.dweller))
        self.sometimes("one claim settles several", len(settled) > 1)
        for claim in claims_before[-1:]:
            by_another = claim.agent != holding.agent
            self.sometimes("a claim lapsed and was retaken by another", by_another and claim.ending == "lapsed")
            self.sometimes("one's own lapsed claim is taken again", not by_another and claim.ending == "lapsed")
            self.sometimes("a released dweller is claimed by another", by_another and claim.ending == "released")

    @errand(ClaimModel.awake_holdings, refused=ClaimModel.refusal_of_a_release)
    def an_agent_releases(self, holding: Holding) -> None:
        """Release a dweller, check the answer, remember that nobody holds it."""
        answer = self.release(holding.agent, self.model.dwellers[holding.dweller].id)
        self.expect(answer, 200)
        self.model.released(holding.dweller)
        self.expect_body(answer, self.model.dweller_body(holding.dweller))
        self.sometimes("a dormant agent releases", self.model.is_dormant(holding.agent))

    def _id_of_the_next_claim(self, holding: Holding) -> str:
        """Return the id of the first claim of this agent on this dweller that the model does not know.

        It is read from the database, as no answer tells it. Only the last claim on a dweller can be open.
        """
        known = {claim.id for claim in self.model.claims.values()}
        found = self.observer.execute(
            "SELECT id::text FROM claims WHERE dweller_id = %s AND agent_id = %s "
            "ORDER BY claimed_at, ended_at NULLS LAST, id",
            [self.model.dwellers[holding.dweller].id, self.model.agents[holding.agent].id],
        )
        new = [claim_id for (claim_id,) in found if claim_id not in known]
        self.expect_equal("a claim in the table", True, bool(new), f"of {holding}")
        return str(new[0])


class ActingActions(ClaimActions):
    """Reading the context of a dweller and acting on it."""

    model: DwellerActionModel

    SOMETIMES = frozenset(
        {"a dweller acts twice", "a claim outlives 24 hours by acting", "a token is spent while another is out"}
    )

    def read_context(self, agent: str, dweller_id: str) -> Answer:
        """Ask what a dweller would act upon."""
        return self.send_as(agent, "POST", f"/dwellers/{dweller_id}/context")

    def act(self, agent: str, dweller_id: str, body: object) -> Answer:
        """Ask that a dweller do something."""
        return self.send_as(agent, "POST", f"/dwellers/{dweller_id}/actions", body)

    def try_to_act(self, attempt: Attempt) -> Answer:
        """Ask that a dweller do something with one of the model's tokens."""
        body = {"context_token": self.model.tokens[attempt.token].secret, "deed": "Knocks."}
        return self.act(attempt.agent, self.model.dwellers[attempt.dweller].id, body)

    def an_agent_reads_the_context(self, holding: Holding) -> str:
        """See the context, check the answer, remember the token, return its name."""
        answer = self.read_context(holding.agent, self.model.dwellers[holding.dweller].id)
        self.expect(answer, 201)
        claim = self.model.claims[self.model.present_claims()[holding.dweller]]
        secret = answer.body["context_token"]
        token_id = self._id_of_the_token(self.model.present_claims()[holding.dweller], secret)
        token = self.model.saw_the_context(holding.dweller, token_id, secret)
        self.expect_body(answer, self.model.context_body(holding.dweller, token))
        self.sometimes("a claim outlives 24 hours by acting", self.model.now() - claim.claimed_at >= CLAIM_LASTS)
        return token

    def _id_of_the_token(self, claim: str, secret: str) -> str:
        """Return a token's id, which no answer tells.

        It is the claim's token with this secret. Where there is none, the claim's newest stands for it: that secrets
        are kept as they should be is for an invariant to say.
        """
        found = self.observer.execute(
            "SELECT id::text FROM context_tokens WHERE claim_id = %s "
            "ORDER BY token_sha256 = %s DESC, issued_at DESC, id LIMIT 1",
            [self.model.claims[claim].id, sha256_of(secret)],
        ).fetchall()
        self.expect_equal("tokens of the claim", 1, len(found))
        return str(found[0][0])

    @errand(DwellerActionModel.ready, refused=DwellerActionModel.refusal_of_an_action, deed=st.just("Knocks."))
    def an_agent_acts(self, attempt: Attempt, deed: str) -> None:
        """Act through a dweller, check the answer, remember what it did."""
        body = {"context_token": self.model.tokens[attempt.token].secret, "deed": deed}
        answer = self.act(attempt.agent, self.model.dwellers[attempt.dweller].id, body)
        self.expect(answer, 201)
        action = self.model.acted(attempt, answer.body["id"], deed)
        self.expect_body(answer, self.model.action_body(action))
        self.sometimes("a dweller acts twice", action.number > 1)
        others = [ready for ready in self.model.ready() if ready.dweller == attempt.dweller]
        self.sometimes("a token is spent while another is out", bool(others))
