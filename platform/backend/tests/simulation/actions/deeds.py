"""Acting through dwellers, in two steps."""

from simulation.actions.claims import ClaimActions
from simulation.harness import Answer
from simulation.mirror.claims import CLAIM_LASTS, Holding
from simulation.mirror.deeds import Attempt
from simulation.mirror.idempotency import sha256_of


class DeedActions(ClaimActions):
    """What holders do."""

    SOMETIMES = frozenset(
        {
            "a dweller acts twice",
            "a claim outlives 24 hours by acting",
            "a token is spent while another is out",
        }
    )

    def read_context(self, agent: str, dweller_id: str) -> Answer:
        """Ask what a dweller would act upon."""
        return self.send_as(agent, "POST", f"/dwellers/{dweller_id}/context")

    def act(self, agent: str, dweller_id: str, body: object) -> Answer:
        """Ask that a dweller do something."""
        return self.send_as(agent, "POST", f"/dwellers/{dweller_id}/actions", body)

    def try_to_act(self, attempt: Attempt) -> Answer:
        """Ask that a dweller do something with one of the mirror's tokens."""
        body = {"context_token": self.mirror.tokens[attempt.token].secret, "deed": "Knocks."}
        return self.act(attempt.agent, self.mirror.dwellers[attempt.dweller].id, body)

    def an_agent_reads_the_context(self, holding: Holding) -> str:
        """See the context, check the answer, remember the token, return its name."""
        answer = self.read_context(holding.agent, self.mirror.dwellers[holding.dweller].id)
        self.expect(answer, 201)
        claim = self.mirror.claims[self.mirror.present_claims()[holding.dweller]]
        secret = answer.body["context_token"]
        token_id = self._id_of_the_token(self.mirror.present_claims()[holding.dweller], secret)
        token = self.mirror.saw_the_context(holding.dweller, token_id, secret)
        self.expect_body(answer, self.mirror.context_body(holding.dweller, token))
        self.sometimes("a claim outlives 24 hours by acting", self.mirror.now() - claim.claimed_at >= CLAIM_LASTS)
        return token

    def _id_of_the_token(self, claim: str, secret: str) -> str:
        """Return a token's id, which no answer tells.

        It is the claim's token with this secret. Where there is none, the claim's newest stands for it: that secrets
        are kept as they should be is for an invariant to say.
        """
        found = self.observer.execute(
            "SELECT id::text FROM context_tokens WHERE claim_id = %s "
            "ORDER BY token_sha256 = %s DESC, issued_at DESC, id LIMIT 1",
            [self.mirror.claims[claim].id, sha256_of(secret)],
        ).fetchall()
        self.expect_equal("tokens of the claim", 1, len(found))
        return str(found[0][0])

    def an_agent_acts(self, attempt: Attempt, deed: str) -> None:
        """Act through a dweller, check the answer, remember what it did."""
        body = {"context_token": self.mirror.tokens[attempt.token].secret, "deed": deed}
        answer = self.act(attempt.agent, self.mirror.dwellers[attempt.dweller].id, body)
        self.expect(answer, 201)
        action = self.mirror.acted(attempt, answer.body["id"], deed)
        self.expect_body(answer, self.mirror.action_body(action))
        self.sometimes("a dweller acts twice", action.number > 1)
        others = [ready for ready in self.mirror.ready() if ready.dweller == attempt.dweller]
        self.sometimes("a token is spent while another is out", bool(others))
