"""Moves around dwellers, and around holding them."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.dwellers.model import Holding, Place, Settler, Stray
from simulation.dwellers.strategies import DWELLER_NAMES, SPOILT_DWELLERS, free_places
from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import NO_IDS, chosen, ids_that_name_none_of, there_are
from simulation.engine.harness import Answer
from simulation.engine.lists import Bodies
from simulation.engine.prose import prose
from simulation.state_mirror import StateMirror
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


class DwellerRules(DeepSciFiBaseRules):
    """Adding and reading dwellers."""

    @precondition(there_are(free_places))
    @move(place=chosen(free_places), persona=prose())
    def add_a_dweller(self, place: Place, persona: str) -> None:
        """A founder adds somebody to a region of its world."""
        self.a_founder_adds_a_dweller(place.region, place.name, persona)

    @precondition(there_are(StateMirror.dweller_names))
    @move(name=chosen(StateMirror.dweller_names))
    def read_a_dweller(self, name: str) -> None:
        """Anyone reads a dweller, and who holds it now."""
        answer = self.read(f"/dwellers/{self.mirror.dwellers[name].id}")
        self.expect(answer, 200)
        self.expect_body(answer, self.mirror.dweller_body(name))

    @precondition(there_are(free_places))
    @move(place=chosen(free_places), limit=st.sampled_from([1, 2, 100]))
    def list_dwellers_while_one_is_added(self, place: Place, limit: int) -> None:
        """The list of a world is read to its end, although somebody new comes at its beginning."""
        world = self.mirror.regions[place.region].world

        def bodies() -> Bodies:
            return [self.mirror.dweller_body(name) for name in self.mirror.dwellers_of(world)]

        def between() -> None:
            self.a_founder_adds_a_dweller(place.region, place.name, "A latecomer.")

        self.expect_pages(f"/worlds/{self.mirror.worlds[world].id}/dwellers", "dwellers", bodies, limit, between)

    @precondition(there_are(StateMirror.foreign_regions))
    @forbidden_move(settler=chosen(StateMirror.foreign_regions), name=A_NAME)
    def add_a_dweller_to_somebody_elses_world(self, settler: Settler, name: str) -> None:
        """Only the founder says who lives in a world."""
        region = self.mirror.regions[settler.region]
        answer = self._try_to_add(settler.agent, self.mirror.worlds[region.world].id, region.id, name)
        self.expect(answer, 403, "not_the_founder")

    @precondition(there_are(StateMirror.beyond_the_border))
    @forbidden_move(stray=chosen(StateMirror.beyond_the_border), name=A_NAME)
    def add_a_dweller_in_a_region_of_another_world(self, stray: Stray, name: str) -> None:
        """A dweller lives in a region of its own world, even where both worlds are of one founder."""
        world, region = self.mirror.worlds[stray.world], self.mirror.regions[stray.region]
        self.expect(self._try_to_add(stray.agent, world.id, region.id, name), 404, "region_not_found")

    @precondition(there_are(StateMirror.own_worlds))
    @forbidden_move(
        site=chosen(StateMirror.own_worlds), region_id=ids_that_name_none_of(StateMirror.region_ids), name=A_NAME
    )
    def add_a_dweller_in_an_unknown_region(self, site: Site, region_id: str, name: str) -> None:
        """The id of something else is not the id of a region."""
        answer = self._try_to_add(site.agent, self.mirror.worlds[site.world].id, region_id, name)
        self.expect(answer, 404, "region_not_found")

    @forbidden_move(
        agent=chosen(StateMirror.names),
        method=st.sampled_from(["GET", "POST"]),
        world_id=ids_that_name_none_of(StateMirror.world_ids),
        region_id=chosen(lambda mirror: mirror.region_ids() or NO_IDS),
    )
    def list_or_add_dwellers_of_an_unknown_world(self, agent: str, method: str, world_id: str, region_id: str) -> None:
        """The id of a proposal is not the id of its world: nobody lives there, and nobody can."""
        body = {"region_id": region_id, "name": "Ilse", "persona": "Somebody."} if method == "POST" else None
        answer = self.send_as(agent, method, f"/worlds/{world_id}/dwellers", body)
        self.expect(answer, 404, "world_not_found")

    @precondition(there_are(StateMirror.taken_places))
    @forbidden_move(place=chosen(StateMirror.taken_places))
    def add_a_dweller_under_a_taken_name(self, place: Place) -> None:
        """A name is taken in the whole world, not in one region of it."""
        region = self.mirror.regions[place.region]
        founder = self.mirror.founder(region.world)
        answer = self._try_to_add(founder, self.mirror.worlds[region.world].id, region.id, place.name)
        self.expect(answer, 409, "dweller_name_taken")

    @precondition(there_are(free_places))
    @forbidden_move(place=chosen(free_places), spoilt=st.sampled_from(sorted(SPOILT_DWELLERS)))
    def add_a_malformed_dweller(self, place: Place, spoilt: str) -> None:
        """What is no dweller is refused, even of a founder."""
        region = self.mirror.regions[place.region]
        body = {"region_id": region.id, "name": place.name, "persona": "Somebody."}
        founder = self.mirror.founder(region.world)
        answer = self.add_dweller(founder, self.mirror.worlds[region.world].id, SPOILT_DWELLERS[spoilt](body))
        self.expect(answer, 422, "malformed_request")

    @precondition(there_are(StateMirror.awake))
    @forbidden_move(
        agent=chosen(StateMirror.awake),
        request=st.sampled_from(sorted(REQUESTS)),
        dweller_id=ids_that_name_none_of(StateMirror.dweller_ids),
    )
    def ask_something_of_an_unknown_dweller(self, agent: str, request: tuple[str, str], dweller_id: str) -> None:
        """The id of something else is not the id of a dweller, whatever is asked of it."""
        method, end = request
        answer = self.send_as(agent, method, f"/dwellers/{dweller_id}{end}", REQUESTS[request])
        self.expect(answer, 404, "dweller_not_found")

    def _try_to_add(self, agent: str, world_id: str, region_id: str, name: str) -> Answer:
        return self.add_dweller(agent, world_id, {"region_id": region_id, "name": name, "persona": "Somebody."})


class ClaimRules(DeepSciFiBaseRules):
    """Claiming dwellers, and letting them go."""

    SOMETIMES = frozenset({"the cap on dwellers refuses"})

    @precondition(there_are(StateMirror.claimable))
    @move(holding=chosen(StateMirror.claimable))
    def claim_a_dweller(self, holding: Holding) -> None:
        """An agent below its cap claims a dweller whom nobody holds, or nobody any more."""
        self.an_agent_claims(holding)

    @precondition(there_are(StateMirror.reclaimable))
    @move(holding=chosen(StateMirror.reclaimable))
    def claim_a_dweller_whose_claim_has_lapsed(self, holding: Holding) -> None:
        """From the instant of the lapse on, anybody claims the dweller, the former holder too."""
        self.an_agent_claims(holding)

    @precondition(there_are(StateMirror.awake_holdings))
    @move(holding=chosen(StateMirror.awake_holdings))
    def release_a_dweller(self, holding: Holding) -> None:
        """A holder lets a dweller go. That a dormant one may, too, is asked in the end (L2)."""
        self.an_agent_releases(holding)

    @precondition(there_are(StateMirror.held_by_others))
    @forbidden_move(holding=chosen(StateMirror.held_by_others))
    def claim_a_dweller_someone_else_holds(self, holding: Holding) -> None:
        """A dweller has one holder, until the very instant of the lapse."""
        self.expect(self._try_to_claim(holding), 409, "dweller_held")

    @precondition(there_are(StateMirror.awake_holdings))
    @forbidden_move(holding=chosen(StateMirror.awake_holdings))
    def claim_a_dweller_one_holds(self, holding: Holding) -> None:
        """Nobody prolongs a claim by claiming again."""
        self.expect(self._try_to_claim(holding), 409, "already_holding")

    @precondition(there_are(StateMirror.beyond_the_cap))
    @forbidden_move(holding=chosen(StateMirror.beyond_the_cap))
    def claim_a_sixth_dweller(self, holding: Holding) -> None:
        """Five dwellers are enough for anybody."""
        answer = self._try_to_claim(holding)
        self.expect(answer, 409, "too_many_dwellers")
        self.sometimes("the cap on dwellers refuses", answer.code == "too_many_dwellers")

    @precondition(there_are(StateMirror.dormant_wishes))
    @forbidden_move(holding=chosen(StateMirror.dormant_wishes))
    def claim_a_dweller_while_dormant(self, holding: Holding) -> None:
        """Who is not heard of holds nobody new."""
        self.expect(self._try_to_claim(holding), 403, "agent_dormant")

    @precondition(there_are(StateMirror.not_held))
    @forbidden_move(holding=chosen(StateMirror.not_held))
    def release_a_dweller_one_does_not_hold(self, holding: Holding) -> None:
        """Nobody ends another's claim, and there is nothing to end where there is none."""
        self.expect(self._try_to_release(holding), 403, "not_the_holder")

    @precondition(there_are(StateMirror.lapsed_holdings))
    @forbidden_move(holding=chosen(StateMirror.lapsed_holdings))
    def release_a_dweller_after_the_lapse(self, holding: Holding) -> None:
        """What has lapsed is not released, although nobody has settled it yet; nor does this settle it."""
        self.expect(self._try_to_release(holding), 403, "not_the_holder")

    def _try_to_claim(self, holding: Holding) -> Answer:
        return self.claim(holding.agent, self.mirror.dwellers[holding.dweller].id)

    def _try_to_release(self, holding: Holding) -> Answer:
        return self.release(holding.agent, self.mirror.dwellers[holding.dweller].id)
