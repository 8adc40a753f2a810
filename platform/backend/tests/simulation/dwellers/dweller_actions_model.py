"""The model of dwellers' actions and of context tokens."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pgdst import SimulatedClock

from simulation.dwellers.model import ClaimModel
from simulation.engine.model import Refusal, Rows, as_json

TOKEN_LASTS: Final = timedelta(minutes=10)
RECENT_ACTIONS: Final = 5


class Attempt(NamedTuple):
    """An agent that acts, the dweller it acts through, and the token."""

    agent: str
    dweller: str
    token: str


@dataclass
class Token:
    """A context token, and whether something was done with it. Only its holder and the model know the secret."""

    id: str
    secret: str
    claim: str
    issued_at: datetime
    spent_at: datetime | None = None

    @property
    def expires_at(self) -> datetime:
        """The first instant at which nothing can be done with it any more."""
        return self.issued_at + TOKEN_LASTS


@dataclass(frozen=True)
class Action:
    """An action of a dweller, its agent and its token."""

    id: str
    agent: str
    dweller: str
    token: str
    number: int
    deed: str
    created_at: datetime


class DwellerActionModel(ClaimModel):
    """Tokens: t1, t2 …, in the order in which they were given; actions in order, by dweller."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        times = "issued_at", "spent_at"
        self.tokens: Rows[Token] = self.rows("context_tokens", *times, prefix="t", in_paths=False)
        self.actions: Rows[Action] = self.rows("actions", "created_at", called="action {}")

    def secrets(self) -> list[str]:
        """Tokens are told to the holder alone."""
        return [*super().secrets(), *(token.secret for token in self.tokens.values())]

    def thresholds(self) -> dict[str, datetime]:
        """Tokens expire."""
        unspent = {name: token for name, token in self.tokens.items() if token.spent_at is None}
        return super().thresholds() | {f"{name} expires": token.expires_at for name, token in unspent.items()}

    # What happened.

    def saw_the_context(self, dweller: str, token_id: str, secret: str) -> str:
        """The holder of a dweller was given a token now; return its name."""
        return self.tokens.add(Token(token_id, secret, self.present_claims()[dweller], issued_at=self.now()))

    def acted(self, attempt: Attempt, action_id: str, deed: str) -> Action:
        """A dweller did something now, which spends the token and prolongs the claim."""
        token = self.tokens[attempt.token]
        number = len(self.actions_of(attempt.dweller)) + 1
        action = Action(action_id, *attempt, number, deed, self.now())
        self.actions[f"{number} of {attempt.dweller}"] = action
        token.spent_at = self.now()
        self.claims[token.claim].last_action_at = self.now()
        return action

    # What there is.

    def actions_of(self, dweller: str) -> list[Action]:
        """Return what a dweller did, in order."""
        return [action for action in self.actions.values() if action.dweller == dweller]

    # Who may act through whom, and who may not. All but the dormant agents ask.

    def refusal_of_an_action(self, attempt: Attempt) -> Refusal | None:
        """Predict whether an agent that is awake may act with a token that has not expired."""
        token = self.tokens[attempt.token]
        if self.holder_of(attempt.dweller) != attempt.agent:
            return Refusal(403, "not_the_holder")
        if token.claim != self.present_claims()[attempt.dweller]:
            return Refusal(409, "context_token_unknown")
        return Refusal(409, "context_token_spent") if token.spent_at is not None else None

    def unspent(self) -> list[Attempt]:
        """Return the holders, their dwellers and unspent tokens, which may have expired."""
        return [attempt for attempt in self._in_force() if self.tokens[attempt.token].spent_at is None]

    def ready(self) -> list[Attempt]:
        """Return the holders, their dwellers and the tokens that are good now."""
        return [attempt for attempt in self.unspent() if self.now() < self.tokens[attempt.token].expires_at]

    def too_late(self) -> list[Attempt]:
        """Return the holders, their dwellers and unspent tokens that have expired."""
        return [attempt for attempt in self.unspent() if self.now() >= self.tokens[attempt.token].expires_at]

    def twice(self) -> list[Attempt]:
        """Return the holders, their dwellers and spent tokens."""
        return [attempt for attempt in self._in_force() if self.tokens[attempt.token].spent_at is not None]

    def through_another(self) -> list[Attempt]:
        """Return the holders of several dwellers, with one of these and a token for another."""
        return [
            Attempt(agent, other, token)
            for agent, dweller, token in self.unspent()
            for holder, other in self.holdings()
            if holder == agent and other != dweller
        ]

    def under_an_earlier_claim(self) -> list[Attempt]:
        """Return the holders and their dwellers, with each token of an earlier claim on the dweller."""
        return [
            Attempt(agent, dweller, name)
            for agent, dweller in self.awake_holdings()
            for name, token in self.tokens.items()
            if self.claims[token.claim].dweller == dweller and token.claim != self.present_claims()[dweller]
        ]

    def with_anothers_token(self) -> list[Attempt]:
        """Return every agent with a dweller that another one holds, and that one's unspent token."""
        return [
            Attempt(agent, dweller, token)
            for holder, dweller, token in self.unspent()
            for agent in self.awake()
            if agent != holder
        ]

    def after_the_lapse(self) -> list[Attempt]:
        """Return the agents, dwellers and tokens of claims that have lapsed and are not settled."""
        return [
            Attempt(agent, dweller, token)
            for agent, dweller in self.lapsed_holdings()
            for token, given in self.tokens.items()
            if given.claim in self.lapsed_claims() and self.claims[given.claim].dweller == dweller
        ]

    def dormant_attempts(self) -> list[Attempt]:
        """Return every dormant agent with every token, for the dweller that it is for."""
        return [
            Attempt(agent, self.claims[token.claim].dweller, name)
            for agent in self.dormant()
            for name, token in self.tokens.items()
        ]

    def _in_force(self) -> list[Attempt]:
        present = self.present_claims().values()
        return [
            Attempt(claim.agent, claim.dweller, name)
            for name, token in self.tokens.items()
            for claim in [self.claims[token.claim]]
            if token.claim in present and not self.is_dormant(claim.agent)
        ]

    # What the platform must answer.

    def dweller_body(self, name: str) -> dict[str, Any]:
        """Add how many actions the dweller did."""
        return super().dweller_body(name) | {"action_count": len(self.actions_of(name))}

    def context_body(self, dweller: str, token: str) -> dict[str, Any]:
        """Predict what the holder of a dweller is shown with a token."""
        given = self.tokens[token]
        return {
            "context_token": given.secret,
            "expires_at": as_json(given.expires_at),
            "dweller": self.dweller_body(dweller),
            "world": self.world_body(self.dwellers[dweller].world),
            "recent_actions": [self.action_body(action) for action in self.actions_of(dweller)[-RECENT_ACTIONS:]],
        }

    def action_body(self, action: Action) -> dict[str, Any]:
        """Predict what anyone reads about an action."""
        return {
            "id": action.id,
            "dweller_id": self.dwellers[action.dweller].id,
            "agent_id": self.agents[action.agent].id,
            "number": action.number,
            "deed": action.deed,
            "created_at": as_json(action.created_at),
        }
