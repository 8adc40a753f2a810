"""Claims, releases and actions at once."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.dwellers.actions import ActingActions, ClaimActions
from simulation.dwellers.dweller_actions_model import Attempt, DwellerActionModel
from simulation.dwellers.model import MAX_HELD, Holding
from simulation.engine.checks import race
from simulation.engine.choosing import MOST_AT_ONCE, chosen, some, some_about_one, there_are


def wishes_beyond_the_cap(model: DwellerActionModel) -> list[tuple[Holding, ...]]:
    """Return, for each agent that may claim somebody yet, more free dwellers than it may; each time those from one on.

    Where it may claim more than can be claimed at once, or there are too few, it has no part in this.
    """
    wishes = model.claimable()
    by_agent = {agent: [wish for wish in wishes if wish.agent == agent] for agent in model.awake()}
    return [
        tuple(own[start : start + size])
        for agent, own in by_agent.items()
        for size in [MAX_HELD - model.held()[agent] + 1]
        if size <= MOST_AT_ONCE
        for start in range(len(own) - size + 1)
    ]


def who_let_lapse(model: DwellerActionModel) -> list[str]:
    """Return the agents with claims that have lapsed and are not settled yet."""
    return [model.claims[name].agent for name in model.lapsed_claims()]


class ClaimRaces(ClaimActions):
    """Claiming and releasing at once."""

    SOMETIMES = frozenset({"one of two claims at once is beyond the cap"})

    @race(holdings=some_about_one(DwellerActionModel.claimable, lambda _model, holding: holding.dweller))
    def claim_one_dweller_at_once(self, data: DataObject, holdings: list[Holding]) -> None:
        """One agent has it, and it may be the same that asked twice; the others are told who came first."""
        self.at_once(data, *(self.attempt(self.an_agent_claims, holding) for holding in holdings))

    @race(holdings=chosen(wishes_beyond_the_cap))
    def claim_beyond_the_cap_at_once(self, data: DataObject, holdings: tuple[Holding, ...]) -> None:
        """An agent that asks from several places gets as many as it may hold."""
        self.at_once(data, *(self.attempt(self.an_agent_claims, holding) for holding in holdings))
        self.sometimes("one of two claims at once is beyond the cap", True)

    @race(
        holdings=some(DwellerActionModel.reclaimable, fewest=1, most=2), readers=some(who_let_lapse, fewest=1, most=2)
    )
    def claim_what_has_lapsed_at_once(self, data: DataObject, holdings: list[Holding], readers: list[str]) -> None:
        """Each lapsed claim is settled once and its agent is told once; there is no deadlock."""
        claims = [self.attempt(self.an_agent_claims, holding) for holding in holdings]
        reading = [partial(self.an_agent_reads_notifications, reader, 0, 100) for reader in readers]
        self.at_once(data, *claims, *reading)

    @race(
        holding=chosen(DwellerActionModel.awake_holdings),
        times=st.sampled_from([1, 2]),
        rivals=some(DwellerActionModel.awake, fewest=1, most=2),
    )
    def claim_a_dweller_while_it_is_released(
        self, data: DataObject, holding: Holding, times: int, rivals: list[str]
    ) -> None:
        """A claim before the release is refused, one after it succeeds; also the holder may claim again."""
        claims = [self.attempt(self.an_agent_claims, holding._replace(agent=rival)) for rival in rivals]
        self.at_once(data, *[self.attempt(self.an_agent_releases, holding)] * times, *claims)


class DwellerActionRaces(ActingActions):
    """Acting at once through one dweller."""

    @precondition(there_are(DwellerActionModel.ready))
    @race(
        attempts=chosen(DwellerActionModel.ready).flatmap(
            lambda attempt: st.lists(st.just(attempt), min_size=2, max_size=3)
        )
    )
    def spend_one_token_at_once(self, data: DataObject, attempts: list[Attempt]) -> None:
        """One token is good for one action, however often it is shown."""
        self.at_once(data, *(self.attempt(self.an_agent_acts, attempt, deed="Knocks.") for attempt in attempts))

    @race(attempts=some_about_one(DwellerActionModel.ready, lambda _model, attempt: attempt.dweller, fewest=1, most=2))
    def act_while_the_dweller_is_released(self, data: DataObject, attempts: list[Attempt]) -> None:
        """After the release, no action is done any more."""
        holding = Holding(attempts[0].agent, attempts[0].dweller)
        actions = [self.attempt(self.an_agent_acts, attempt, deed="Knocks.") for attempt in attempts]
        self.at_once(data, *actions, partial(self.an_agent_releases, holding))
