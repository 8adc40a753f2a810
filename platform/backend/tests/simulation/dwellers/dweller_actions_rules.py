"""Moves around acting through dwellers."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.agents.strategies import WRONG_KEYS
from simulation.dwellers.actions import ActingActions
from simulation.dwellers.dweller_actions_model import Attempt, DwellerActionModel
from simulation.dwellers.model import Holding
from simulation.dwellers.strategies import SPOILT_DEEDS
from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import chosen, there_are
from simulation.engine.harness import Answer
from simulation.engine.prose import prose


class DwellerActionRules(ActingActions):
    """Seeing the context and acting on it, and reading what was done."""

    SOMETIMES = frozenset({"a token expired unused"})

    @precondition(there_are(DwellerActionModel.awake_holdings))
    @move(holding=chosen(DwellerActionModel.awake_holdings))
    def read_the_context(self, holding: Holding) -> None:
        """A holder sees what its dweller would act upon; it may look more than once."""
        self.an_agent_reads_the_context(holding)

    @precondition(there_are(DwellerActionModel.ready))
    @move(attempt=chosen(DwellerActionModel.ready), deed=prose())
    def act_on_a_context(self, attempt: Attempt, deed: str) -> None:
        """A holder acts on what it saw, until the very instant at which the token expires."""
        self.an_agent_acts(attempt, deed)

    @precondition(there_are(DwellerActionModel.awake_holdings))
    @move(holding=chosen(DwellerActionModel.awake_holdings), deed=prose())
    def act_at_once(self, holding: Holding, deed: str) -> None:
        """A holder sees the context and acts, as most do."""
        self.an_agent_acts(Attempt(*holding, self.an_agent_reads_the_context(holding)), deed)

    @precondition(there_are(DwellerActionModel.dweller_names))
    @move(
        name=chosen(DwellerActionModel.dweller_names), after=st.sampled_from([0, 1, 2]), limit=st.sampled_from([1, 100])
    )
    def list_actions(self, name: str, after: int, limit: int) -> None:
        """Anyone reads what a dweller did, from any number on."""
        bodies = [self.model.action_body(action) for action in self.model.actions_of(name)]
        self.expect_numbered_page(f"/dwellers/{self.model.dwellers[name].id}/actions", "actions", bodies, after, limit)

    @precondition(there_are(DwellerActionModel.not_held))
    @forbidden_move(holding=chosen(DwellerActionModel.not_held))
    def read_the_context_of_a_dweller_one_does_not_hold(self, holding: Holding) -> None:
        """Only the holder gets a token."""
        self.expect(self._try_to_read(holding), 403, "not_the_holder")

    @precondition(there_are(DwellerActionModel.lapsed_holdings))
    @forbidden_move(holding=chosen(DwellerActionModel.lapsed_holdings))
    def read_the_context_after_the_lapse(self, holding: Holding) -> None:
        """The claim has to be made anew first."""
        self.expect(self._try_to_read(holding), 403, "not_the_holder")

    @precondition(there_are(DwellerActionModel.dormant_wishes))
    @forbidden_move(holding=chosen(DwellerActionModel.dormant_wishes))
    def read_the_context_while_dormant(self, holding: Holding) -> None:
        """Who is not heard of gets no token, not even for whom it holds."""
        self.expect(self._try_to_read(holding), 403, "agent_dormant")

    @precondition(there_are(DwellerActionModel.dormant_attempts))
    @forbidden_move(attempt=chosen(DwellerActionModel.dormant_attempts))
    def act_while_dormant(self, attempt: Attempt) -> None:
        """Who is not heard of does nothing, not even with a good token."""
        self.expect(self.try_to_act(attempt), 403, "agent_dormant")

    @precondition(there_are(DwellerActionModel.with_anothers_token))
    @forbidden_move(attempt=chosen(DwellerActionModel.with_anothers_token))
    def act_through_a_dweller_one_does_not_hold(self, attempt: Attempt) -> None:
        """A good token in the wrong hands is good for nothing."""
        self.expect(self.try_to_act(attempt), 403, "not_the_holder")

    @precondition(there_are(DwellerActionModel.after_the_lapse))
    @forbidden_move(attempt=chosen(DwellerActionModel.after_the_lapse))
    def act_after_the_lapse(self, attempt: Attempt) -> None:
        """A claim that has lapsed is not prolonged any more."""
        self.expect(self.try_to_act(attempt), 403, "not_the_holder")

    @precondition(there_are(DwellerActionModel.twice))
    @forbidden_move(attempt=chosen(DwellerActionModel.twice))
    def act_with_a_spent_token(self, attempt: Attempt) -> None:
        """A token is good for one action; that it has expired since does not matter any more."""
        self.expect(self.try_to_act(attempt), 409, "context_token_spent")

    @precondition(there_are(DwellerActionModel.too_late))
    @forbidden_move(attempt=chosen(DwellerActionModel.too_late))
    def act_with_an_expired_token(self, attempt: Attempt) -> None:
        """From its tenth minute on, a context is no longer what there is."""
        answer = self.try_to_act(attempt)
        self.expect(answer, 409, "context_token_expired")
        self.sometimes("a token expired unused", answer.code == "context_token_expired")

    @precondition(there_are(DwellerActionModel.ready))
    @forbidden_move(attempt=chosen(DwellerActionModel.ready), wrong=st.sampled_from(sorted(WRONG_KEYS)))
    def act_with_an_unknown_token(self, attempt: Attempt, wrong: str) -> None:
        """A token that is nearly right opens nothing."""
        secret = WRONG_KEYS[wrong](self.model.tokens[attempt.token].secret)
        dweller_id = self.model.dwellers[attempt.dweller].id
        answer = self.act(attempt.agent, dweller_id, {"context_token": secret, "deed": "Knocks."})
        self.expect(answer, 409, "context_token_unknown")

    @precondition(there_are(DwellerActionModel.through_another))
    @forbidden_move(attempt=chosen(DwellerActionModel.through_another))
    def act_with_a_token_for_another_dweller(self, attempt: Attempt) -> None:
        """What one dweller sees is not what another one does upon."""
        self.expect(self.try_to_act(attempt), 409, "context_token_unknown")

    @precondition(there_are(DwellerActionModel.under_an_earlier_claim))
    @forbidden_move(attempt=chosen(DwellerActionModel.under_an_earlier_claim))
    def act_with_a_token_of_an_earlier_claim(self, attempt: Attempt) -> None:
        """With the claim end its tokens, the unspent ones and the spent ones, whosever it was."""
        self.expect(self.try_to_act(attempt), 409, "context_token_unknown")

    @precondition(there_are(DwellerActionModel.unspent))
    @forbidden_move(attempt=chosen(DwellerActionModel.unspent), spoilt=st.sampled_from(sorted(SPOILT_DEEDS)))
    def act_in_a_malformed_way(self, attempt: Attempt, spoilt: str) -> None:
        """What is no deed spends no token."""
        body = {"context_token": self.model.tokens[attempt.token].secret, "deed": "Knocks."}
        answer = self.act(attempt.agent, self.model.dwellers[attempt.dweller].id, SPOILT_DEEDS[spoilt](body))
        self.expect(answer, 422, "malformed_request")

    def _try_to_read(self, holding: Holding) -> Answer:
        return self.read_context(holding.agent, self.model.dwellers[holding.dweller].id)
