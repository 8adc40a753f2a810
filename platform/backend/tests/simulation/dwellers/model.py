"""The model of dwellers and of the claims on them."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pgdst import SimulatedClock

from simulation.engine.model import Refusal, Rows, as_json
from simulation.worlds.model import RegionModel

CLAIM_LASTS: Final = timedelta(hours=24)
MAX_HELD: Final = 5


class Place(NamedTuple):
    """A name that a dweller may bear in a region."""

    region: str
    name: str


class Settler(NamedTuple):
    """An agent, and a region to which it would add a dweller."""

    agent: str
    region: str


class Stray(NamedTuple):
    """An agent, a world to which it would add a dweller, and a region that is not in it."""

    agent: str
    world: str
    region: str


@dataclass(frozen=True)
class Dweller:
    """Somebody who lives in a region of a world; both are the model's names, the name is the dweller's own."""

    id: str
    world: str
    region: str
    name: str
    persona: str
    created_at: datetime


class DwellerModel(RegionModel):
    """Dwellers: d1, d2 …, in the order in which they were added; their own names are free for others elsewhere."""

    LISTS = frozenset({"/worlds/{worlds}/dwellers"})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.dwellers: Rows[Dweller] = self.rows("dwellers", "created_at", prefix="d")

    # What there is, and who may do what.

    def dwellers_of(self, world: str) -> list[str]:
        """Return the dwellers of a world."""
        return [name for name, dweller in self.dwellers.items() if dweller.world == world]

    def places(self, *names: str) -> list[Place]:
        """Return these names with each region in whose world they are free."""
        return [Place(region, name) for region in self.regions for name in names if not self._is_taken(region, name)]

    def taken_places(self) -> list[Place]:
        """Return the names that dwellers bear, with each region of their worlds."""
        return [
            Place(region, self.dwellers[dweller].name)
            for region, known in self.regions.items()
            for dweller in self.dwellers_of(known.world)
        ]

    def foreign_regions(self) -> list[Settler]:
        """Return every agent with every region of a world that it did not found."""
        return [Settler(agent, region) for agent, world in self.foreign_worlds() for region in self.regions_of(world)]

    def beyond_the_border(self) -> list[Stray]:
        """Return every founder with its worlds, and every region of another world."""
        return [
            Stray(agent, world, name)
            for agent, world in self.own_worlds()
            for name, region in self.regions.items()
            if region.world != world
        ]

    def _is_taken(self, region: str, name: str) -> bool:
        return any(self.dwellers[dweller].name == name for dweller in self.dwellers_of(self.regions[region].world))

    # What the platform must answer.

    def dweller_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about a dweller; what happens to it is added by the domains above."""
        dweller = self.dwellers[name]
        return {
            "id": dweller.id,
            "world_id": self.worlds[dweller.world].id,
            "region_id": self.regions[dweller.region].id,
            "name": dweller.name,
            "persona": dweller.persona,
            "created_at": as_json(dweller.created_at),
        }


class Holding(NamedTuple):
    """An agent, and a dweller that it holds, has held or would hold."""

    agent: str
    dweller: str


@dataclass
class Claim:
    """A claim, and what became of it. One that has lapsed ends only when somebody comes by."""

    id: str
    agent: str
    dweller: str
    claimed_at: datetime
    last_action_at: datetime
    ended_at: datetime | None = None
    ending: str | None = None

    @property
    def lapses_at(self) -> datetime:
        """The first instant at which nobody holds the dweller any more."""
        return self.last_action_at + CLAIM_LASTS


class ClaimModel(DwellerModel):
    """Claims: c1, c2 …, in the order in which they were made."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        times = "claimed_at", "last_action_at", "ended_at"
        self.claims: Rows[Claim] = self.rows("claims", *times, prefix="c", in_paths=False)

    def thresholds(self) -> dict[str, datetime]:
        """Claims lapse."""
        return super().thresholds() | {f"{name} lapses": claim.lapses_at for name, claim in self.open_claims().items()}

    # What happened.

    def claimed(self, holding: Holding, claim_id: str) -> None:
        """An agent claimed a dweller now, which settles what is in its way."""
        self._settle(self.settled_by(holding))
        self.claims.add(Claim(claim_id, *holding, claimed_at=self.now(), last_action_at=self.now()))

    def settled_by(self, holding: Holding) -> list[str]:
        """Return what a claim settles: all that its agent let lapse, and what lapsed on its dweller."""
        return [
            name
            for name in self.lapsed_claims()
            for claim in [self.claims[name]]
            if claim.agent == holding.agent or claim.dweller == holding.dweller
        ]

    def released(self, dweller: str) -> None:
        """The holder let a dweller go."""
        self._end(self.claims[self.present_claims()[dweller]], "released")

    def settle_lapsed(self, agent: str) -> None:
        """An agent is told of all its claims that have lapsed."""
        super().settle_lapsed(agent)
        self._settle([name for name in self.lapsed_claims() if self.claims[name].agent == agent])

    def _settle(self, lapsed: list[str]) -> None:
        # Each agent is told of its own in the order in which they lapsed, those of one instant by their dwellers' ids.
        claims = [self.claims[name] for name in lapsed]
        for claim in sorted(claims, key=lambda claim: (claim.lapses_at, self.dwellers[claim.dweller].id)):
            self._end(claim, "lapsed")
            self.notified(claim.agent, "claim_lapsed", claim.id)

    def _end(self, claim: Claim, ending: str) -> None:
        claim.ended_at = self.now()
        claim.ending = ending

    # Who holds whom.

    def present_claims(self) -> dict[str, str]:
        """Return the claims under which dwellers are held now, by dweller."""
        now = self.now()
        return {claim.dweller: name for name, claim in self.open_claims().items() if now < claim.lapses_at}

    def holder_of(self, dweller: str) -> str | None:
        """Return who holds a dweller now, if anybody does."""
        claim = self.present_claims().get(dweller)
        return self.claims[claim].agent if claim is not None else None

    def holdings(self) -> list[Holding]:
        """Return the holders and their dwellers."""
        return [Holding(self.claims[claim].agent, dweller) for dweller, claim in self.present_claims().items()]

    def held(self) -> Counter[str]:
        """Return how many dwellers each agent holds now."""
        return Counter(agent for agent, _dweller in self.holdings())

    def claims_on(self, dweller: str) -> list[Claim]:
        """Return all claims on a dweller, in the order in which they were made."""
        return [claim for claim in self.claims.values() if claim.dweller == dweller]

    def open_claims(self) -> dict[str, Claim]:
        """Return the claims that were neither released nor settled."""
        return {name: claim for name, claim in self.claims.items() if claim.ended_at is None}

    def lapsed_claims(self) -> list[str]:
        """Return the claims that have lapsed and are not settled yet."""
        now = self.now()
        return [name for name, claim in self.open_claims().items() if claim.lapses_at <= now]

    # Who may claim and release whom, and who may not. All but the dormant agents ask.

    def refusal_of_a_claim(self, holding: Holding) -> Refusal | None:
        """Predict whether an agent that is awake may claim a dweller."""
        holder = self.holder_of(holding.dweller)
        if holder == holding.agent:
            return Refusal(409, "already_holding")
        if holder is not None:
            return Refusal(409, "dweller_held")
        return Refusal(409, "too_many_dwellers") if self.held()[holding.agent] >= MAX_HELD else None

    def refusal_of_a_release(self, holding: Holding) -> Refusal | None:
        """Predict whether an agent may release a dweller."""
        return Refusal(403, "not_the_holder") if self.holder_of(holding.dweller) != holding.agent else None

    def claimable(self) -> list[Holding]:
        """Return the agents with each dweller that they may claim."""
        held = self.held()
        return self._free_for([agent for agent in self.awake() if held[agent] < MAX_HELD])

    def reclaimable(self) -> list[Holding]:
        """Return the agents with each dweller that they may claim and on which a claim has lapsed."""
        lapsed = [self.claims[name].dweller for name in self.lapsed_claims()]
        return [holding for holding in self.claimable() if holding.dweller in lapsed]

    def beyond_the_cap(self) -> list[Holding]:
        """Return the agents at the cap, with each dweller that is free."""
        held = self.held()
        return self._free_for([agent for agent in self.awake() if held[agent] >= MAX_HELD])

    def awake_holdings(self) -> list[Holding]:
        """Return the holders that are not dormant, and their dwellers."""
        return [holding for holding in self.holdings() if not self.is_dormant(holding.agent)]

    def held_by_others(self) -> list[Holding]:
        """Return every agent with each dweller that another one holds."""
        return [
            Holding(agent, dweller) for agent in self.awake() for holder, dweller in self.holdings() if holder != agent
        ]

    def lapsed_holdings(self) -> list[Holding]:
        """Return the agents that are not dormant, and the dwellers, of claims that have lapsed and are not settled."""
        lapsed = [self.claims[name] for name in self.lapsed_claims()]
        return [Holding(claim.agent, claim.dweller) for claim in lapsed if not self.is_dormant(claim.agent)]

    def not_held(self) -> list[Holding]:
        """Return every agent with each dweller on which it has no open claim."""
        holders = [(claim.agent, claim.dweller) for claim in self.open_claims().values()]
        return [
            Holding(agent, dweller)
            for agent in self.awake()
            for dweller in self.dwellers
            if (agent, dweller) not in holders
        ]

    def dormant_wishes(self) -> list[Holding]:
        """Return every dormant agent with every dweller."""
        return [Holding(agent, dweller) for agent in self.dormant() for dweller in self.dwellers]

    def _free_for(self, agents: list[str]) -> list[Holding]:
        held = self.present_claims()
        return [Holding(agent, dweller) for agent in agents for dweller in self.dwellers if dweller not in held]

    # What the platform must answer.

    def dweller_body(self, name: str) -> dict[str, Any]:
        """Add who holds the dweller, and until when."""
        claim = self.claims.get(self.present_claims().get(name, ""))
        return super().dweller_body(name) | {
            "holder_id": self.agents[claim.agent].id if claim is not None else None,
            "claim_lapses_at": as_json(claim.lapses_at) if claim is not None else None,
        }
