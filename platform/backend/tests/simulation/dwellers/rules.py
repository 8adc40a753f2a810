"""Moves around dwellers, and around holding them."""

from typing import Final

from hypothesis import strategies as st

from simulation.dwellers.actions import ClaimActions
from simulation.dwellers.model import ClaimModel, Holding, Place, Settler, Stray
from simulation.dwellers.strategies import DWELLER_NAMES, SPOILT_DWELLERS, free_places
from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import NO_IDS, a_name_in, any_of, chosen, ids_of_nothing_in
from simulation.engine.harness import Answer
from simulation.engine.lists import Bodies
from simulation.engine.prose import prose
from simulation.worlds.model import Site

A_NAME: Final = st.sampled_from(DWELLER_NAMES)
A_DEED: Final = {"context_token": "a token", "deed": "Knocks."}
# What can be asked of a dweller, and with which body.
REQUESTS: Final[dict[tuple[str, str], object]] = {
    ("GET", ""): None,
    ("GET", "/actions"): None,
    ("POST", "/actions"): A_DEED,
    ("POST", "/claim"): None,
    ("POST", "/context"): None,
    ("POST", "/release"): None,
}


class DwellerRules(ClaimActions):
    """Adding and reading dwellers."""

    @move(place=chosen(free_places), persona=prose())
    def add_a_dweller(self, place: Place, persona: str) -> None:
        """A founder adds somebody to a region of its world."""
        self.a_founder_adds_a_dweller(place.region, place.name, persona)

    @move(name=a_name_in("dwellers"))
    def read_a_dweller(self, name: str) -> None:
        """Anyone reads a dweller, and who holds it now."""
        self.expect_read(f"/dwellers/{self.model.dwellers[name].id}", self.model.dweller_body(name))

    @move(place=chosen(free_places), limit=st.sampled_from([1, 2, 100]))
    def list_dwellers_while_one_is_added(self, place: Place, limit: int) -> None:
        """The list of a world is read to its end, although somebody new comes at its beginning."""
        world = self.model.regions[place.region].world

        def bodies() -> Bodies:
            return [self.model.dweller_body(name) for name in self.model.dwellers_of(world)]

        def between() -> None:
            self.a_founder_adds_a_dweller(place.region, place.name, "A latecomer.")

        self.expect_pages(f"/worlds/{self.model.worlds[world].id}/dwellers", "dwellers", bodies, limit, between)

    @forbidden_move(403, "not_the_founder", settler=chosen(ClaimModel.foreign_regions), name=A_NAME)
    def add_a_dweller_to_somebody_elses_world(self, settler: Settler, name: str) -> Answer:
        """Only the founder says who lives in a world."""
        region = self.model.regions[settler.region]
        return self._try_to_add(settler.agent, self.model.worlds[region.world].id, region.id, name)

    @forbidden_move(404, "region_not_found", stray=chosen(ClaimModel.beyond_the_border), name=A_NAME)
    def add_a_dweller_in_a_region_of_another_world(self, stray: Stray, name: str) -> Answer:
        """A dweller lives in a region of its own world, even where both worlds are of one founder."""
        world, region = self.model.worlds[stray.world], self.model.regions[stray.region]
        return self._try_to_add(stray.agent, world.id, region.id, name)

    @forbidden_move(
        404, "region_not_found", site=chosen(ClaimModel.own_worlds), region_id=ids_of_nothing_in("regions"), name=A_NAME
    )
    def add_a_dweller_in_an_unknown_region(self, site: Site, region_id: str, name: str) -> Answer:
        """The id of something else is not the id of a region."""
        return self._try_to_add(site.agent, self.model.worlds[site.world].id, region_id, name)

    @forbidden_move(
        404,
        "world_not_found",
        agent=chosen(ClaimModel.names),
        method=st.sampled_from(["GET", "POST"]),
        world_id=ids_of_nothing_in("worlds"),
        region_id=chosen(lambda model: model.regions.ids() or NO_IDS),
    )
    def list_or_add_dwellers_of_an_unknown_world(
        self, agent: str, method: str, world_id: str, region_id: str
    ) -> Answer:
        """The id of a proposal is not the id of its world: nobody lives there, and nobody can."""
        body = {"region_id": region_id, "name": "Ilse", "persona": "Somebody."} if method == "POST" else None
        return self.send_as(agent, method, f"/worlds/{world_id}/dwellers", body)

    @forbidden_move(409, "dweller_name_taken", place=chosen(ClaimModel.taken_places))
    def add_a_dweller_under_a_taken_name(self, place: Place) -> Answer:
        """A name is taken in the whole world, not in one region of it."""
        region = self.model.regions[place.region]
        founder = self.model.founder(region.world)
        return self._try_to_add(founder, self.model.worlds[region.world].id, region.id, place.name)

    @forbidden_move(422, "malformed_request", place=chosen(free_places), spoilt=any_of(SPOILT_DWELLERS))
    def add_a_malformed_dweller(self, place: Place, spoilt: str) -> Answer:
        """A malformed dweller is refused, even from a founder."""
        region = self.model.regions[place.region]
        body = {"region_id": region.id, "name": place.name, "persona": "Somebody."}
        founder = self.model.founder(region.world)
        return self.add_dweller(founder, self.model.worlds[region.world].id, SPOILT_DWELLERS[spoilt](body))

    @forbidden_move(
        404,
        "dweller_not_found",
        agent=chosen(ClaimModel.awake),
        request=any_of(REQUESTS),
        dweller_id=ids_of_nothing_in("dwellers"),
    )
    def ask_something_of_an_unknown_dweller(self, agent: str, request: tuple[str, str], dweller_id: str) -> Answer:
        """The id of something else is not the id of a dweller, whatever is asked of it."""
        method, end = request
        return self.send_as(agent, method, f"/dwellers/{dweller_id}{end}", REQUESTS[request])

    def _try_to_add(self, agent: str, world_id: str, region_id: str, name: str) -> Answer:
        return self.add_dweller(agent, world_id, {"region_id": region_id, "name": name, "persona": "Somebody."})


class ClaimRules(ClaimActions):
    """Claiming dwellers, and letting them go."""

    SOMETIMES = frozenset({"the cap on dwellers refuses"})

    @move(holding=chosen(ClaimModel.claimable))
    def claim_a_dweller(self, holding: Holding) -> None:
        """An agent below its cap claims a dweller that nobody holds."""
        self.an_agent_claims(holding)

    @move(holding=chosen(ClaimModel.reclaimable))
    def claim_a_dweller_whose_claim_has_lapsed(self, holding: Holding) -> None:
        """From the instant of the lapse on, anybody claims the dweller, the former holder too."""
        self.an_agent_claims(holding)

    @move(holding=chosen(ClaimModel.awake_holdings))
    def release_a_dweller(self, holding: Holding) -> None:
        """A holder lets a dweller go. That a dormant one may, too, is asked in the end (L2)."""
        self.an_agent_releases(holding)

    @forbidden_move(409, "dweller_held", holding=chosen(ClaimModel.held_by_others))
    def claim_a_dweller_someone_else_holds(self, holding: Holding) -> Answer:
        """A dweller has one holder, until the very instant of the lapse."""
        return self._try_to_claim(holding)

    @forbidden_move(409, "already_holding", holding=chosen(ClaimModel.awake_holdings))
    def claim_a_dweller_one_holds(self, holding: Holding) -> Answer:
        """Nobody prolongs a claim by claiming again."""
        return self._try_to_claim(holding)

    @forbidden_move(409, "too_many_dwellers", holding=chosen(ClaimModel.beyond_the_cap))
    def claim_a_sixth_dweller(self, holding: Holding) -> Answer:
        """Five dwellers are enough for anybody."""
        answer = self._try_to_claim(holding)
        self.sometimes("the cap on dwellers refuses", answer.code == "too_many_dwellers")
        return answer

    @forbidden_move(403, "agent_dormant", holding=chosen(ClaimModel.dormant_wishes))
    def claim_a_dweller_while_dormant(self, holding: Holding) -> Answer:
        """A dormant agent cannot claim a dweller."""
        return self._try_to_claim(holding)

    @forbidden_move(403, "not_the_holder", holding=chosen(ClaimModel.not_held))
    def release_a_dweller_one_does_not_hold(self, holding: Holding) -> Answer:
        """Only the holder can release a dweller."""
        return self._try_to_release(holding)

    @forbidden_move(403, "not_the_holder", holding=chosen(ClaimModel.lapsed_holdings))
    def release_a_dweller_after_the_lapse(self, holding: Holding) -> Answer:
        """A claim that has lapsed is not released, although nobody has settled it yet; this does not settle it."""
        return self._try_to_release(holding)

    def _try_to_claim(self, holding: Holding) -> Answer:
        return self.claim(holding.agent, self.model.dwellers[holding.dweller].id)

    def _try_to_release(self, holding: Holding) -> Answer:
        return self.release(holding.agent, self.model.dwellers[holding.dweller].id)
