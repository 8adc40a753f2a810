"""Moves around acting through dwellers."""

from hypothesis import strategies as st

from simulation.agents.strategies import WRONG_KEYS
from simulation.dwellers.actions import ActingActions
from simulation.dwellers.dweller_actions_model import Attempt, DwellerActionModel
from simulation.dwellers.model import Holding
from simulation.dwellers.strategies import SPOILT_DEEDS
from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import a_name_in, any_of, chosen
from simulation.engine.harness import Answer
from simulation.engine.prose import prose


class DwellerActionRules(ActingActions):
    """Seeing the context and acting on it, and reading what was done."""

    SOMETIMES = frozenset({"a token expired unused"})

    @move(holding=chosen(DwellerActionModel.awake_holdings))
    def read_the_context(self, holding: Holding) -> None:
        """A holder sees what its dweller would act upon; it may look more than once."""
        self.an_agent_reads_the_context(holding)

    @move(attempt=chosen(DwellerActionModel.ready), deed=prose())
    def act_on_a_context(self, attempt: Attempt, deed: str) -> None:
        """A holder acts on what it saw, until the very instant at which the token expires."""
        self.an_agent_acts(attempt, deed)

    @move(holding=chosen(DwellerActionModel.awake_holdings), deed=prose())
    def act_at_once(self, holding: Holding, deed: str) -> None:
        """A holder sees the context and acts, as most do."""
        self.an_agent_acts(Attempt(*holding, self.an_agent_reads_the_context(holding)), deed)

    @move(name=a_name_in("dwellers"), after=st.sampled_from([0, 1, 2]), limit=st.sampled_from([1, 100]))
    def list_actions(self, name: str, after: int, limit: int) -> None:
        """Anyone reads what a dweller did, from any number on."""
        bodies = [self.model.action_body(action) for action in self.model.actions_of(name)]
        self.expect_numbered_page(f"/dwellers/{self.model.dwellers[name].id}/actions", "actions", bodies, after, limit)

    @forbidden_move(403, "not_the_holder", holding=chosen(DwellerActionModel.not_held))
    def read_the_context_of_a_dweller_one_does_not_hold(self, holding: Holding) -> Answer:
        """Only the holder gets a token."""
        return self._try_to_read(holding)

    @forbidden_move(403, "not_the_holder", holding=chosen(DwellerActionModel.lapsed_holdings))
    def read_the_context_after_the_lapse(self, holding: Holding) -> Answer:
        """The claim has to be made anew first."""
        return self._try_to_read(holding)

    @forbidden_move(403, "agent_dormant", holding=chosen(DwellerActionModel.dormant_wishes))
    def read_the_context_while_dormant(self, holding: Holding) -> Answer:
        """A dormant agent gets no token, even for a dweller that it holds."""
        return self._try_to_read(holding)

    @forbidden_move(403, "agent_dormant", attempt=chosen(DwellerActionModel.dormant_attempts))
    def act_while_dormant(self, attempt: Attempt) -> Answer:
        """A dormant agent cannot act, even with a good token."""
        return self.try_to_act(attempt)

    @forbidden_move(403, "not_the_holder", attempt=chosen(DwellerActionModel.with_anothers_token))
    def act_through_a_dweller_one_does_not_hold(self, attempt: Attempt) -> Answer:
        """A good token of another agent's is refused."""
        return self.try_to_act(attempt)

    @forbidden_move(403, "not_the_holder", attempt=chosen(DwellerActionModel.after_the_lapse))
    def act_after_the_lapse(self, attempt: Attempt) -> Answer:
        """A claim that has lapsed is not prolonged any more."""
        return self.try_to_act(attempt)

    @forbidden_move(409, "context_token_spent", attempt=chosen(DwellerActionModel.twice))
    def act_with_a_spent_token(self, attempt: Attempt) -> Answer:
        """A token is good for one action; that it has expired since does not matter any more."""
        return self.try_to_act(attempt)

    @forbidden_move(409, "context_token_expired", attempt=chosen(DwellerActionModel.too_late))
    def act_with_an_expired_token(self, attempt: Attempt) -> Answer:
        """From its tenth minute on, a context is no longer what there is."""
        answer = self.try_to_act(attempt)
        self.sometimes("a token expired unused", answer.code == "context_token_expired")
        return answer

    @forbidden_move(409, "context_token_unknown", attempt=chosen(DwellerActionModel.ready), wrong=any_of(WRONG_KEYS))
    def act_with_an_unknown_token(self, attempt: Attempt, wrong: str) -> Answer:
        """A token that is nearly right opens nothing."""
        secret = WRONG_KEYS[wrong](self.model.tokens[attempt.token].secret)
        dweller_id = self.model.dwellers[attempt.dweller].id
        return self.act(attempt.agent, dweller_id, {"context_token": secret, "deed": "Knocks."})

    @forbidden_move(409, "context_token_unknown", attempt=chosen(DwellerActionModel.through_another))
    def act_with_a_token_for_another_dweller(self, attempt: Attempt) -> Answer:
        """A token is good for its own dweller only."""
        return self.try_to_act(attempt)

    @forbidden_move(409, "context_token_unknown", attempt=chosen(DwellerActionModel.under_an_earlier_claim))
    def act_with_a_token_of_an_earlier_claim(self, attempt: Attempt) -> Answer:
        """When a claim ends, its tokens end with it, spent or not, even for an agent that claims again."""
        return self.try_to_act(attempt)

    @forbidden_move(422, "malformed_request", attempt=chosen(DwellerActionModel.unspent), spoilt=any_of(SPOILT_DEEDS))
    def act_in_a_malformed_way(self, attempt: Attempt, spoilt: str) -> Answer:
        """A malformed action spends no token."""
        body = {"context_token": self.model.tokens[attempt.token].secret, "deed": "Knocks."}
        return self.act(attempt.agent, self.model.dwellers[attempt.dweller].id, SPOILT_DEEDS[spoilt](body))

    def _try_to_read(self, holding: Holding) -> Answer:
        return self.read_context(holding.agent, self.model.dwellers[holding.dweller].id)
