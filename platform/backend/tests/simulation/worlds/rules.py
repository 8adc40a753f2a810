"""Moves around worlds and their regions."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import a_name_in, any_of, chosen, ids_of_nothing_in, rows_in, there_are
from simulation.engine.harness import Answer
from simulation.engine.lists import A_FEW
from simulation.engine.prose import prose
from simulation.proposals.model import Ballot
from simulation.worlds.actions import RegionActions
from simulation.worlds.model import RegionModel, Site
from simulation.worlds.strategies import REGION_NAMES, SPOILT_REGIONS, Plot, free_plots, taken_plots

A_NAME = st.sampled_from(REGION_NAMES)


class WorldRules(RegionActions):
    """Reading worlds; they are made by votes alone."""

    @move(name=a_name_in("worlds"))
    def read_a_world(self, name: str) -> None:
        """Anyone reads the world that a proposal founded."""
        self.expect_read(f"/worlds/{self.model.world_body(name)['id']}", self.model.world_body(name))

    @precondition(there_are(rows_in("worlds")))
    @move(limit=st.sampled_from([1, 2, 100]))
    def list_worlds(self, limit: int) -> None:
        """The list shows the newest worlds."""
        self.expect_page("/worlds", "worlds", self.model.world_bodies(), limit)

    @move(limit=A_FEW, ballot=chosen(RegionModel.founding_ballots))
    def read_all_worlds_while_one_is_founded(self, limit: int, ballot: Ballot) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            "/worlds",
            "worlds",
            self.model.world_bodies,
            limit,
            between=lambda: self.an_agent_votes(ballot, "approve", "Let it be."),
        )

    @forbidden_move(404, "world_not_found", world_id=ids_of_nothing_in("worlds"))
    def read_an_unknown_world(self, world_id: str) -> Answer:
        """The id of a proposal is not the id of its world."""
        return self.read(f"/worlds/{world_id}")


class RegionRules(RegionActions):
    """Adding and listing regions."""

    @move(plot=chosen(free_plots), description=prose())
    def add_a_region(self, plot: Plot, description: str) -> None:
        """A founder, dormant or not, adds a part to its world."""
        self.an_agent_adds_a_region(*plot.site, plot.name, description)

    @move(plot=chosen(free_plots), limit=st.sampled_from([1, 2, 100]))
    def read_all_regions_while_one_is_added(self, plot: Plot, limit: int) -> None:
        """Page by page, nothing is skipped or repeated, and nothing is of another world."""
        world = plot.site.world
        self.expect_pages(
            f"/worlds/{self.model.worlds[world].id}/regions",
            "regions",
            lambda: self.model.region_bodies(world),
            limit,
            between=lambda: self.an_agent_adds_a_region(*plot.site, plot.name, "In between."),
        )

    @forbidden_move(403, "not_the_founder", site=chosen(RegionModel.foreign_worlds), name=A_NAME)
    def add_a_region_to_somebody_elses_world(self, site: Site, name: str) -> Answer:
        """Only its founder shapes a world."""
        return self._try_to_shape(site, name)

    @forbidden_move(409, "region_name_taken", plot=chosen(taken_plots))
    def add_a_region_under_a_taken_name(self, plot: Plot) -> Answer:
        """No two regions of a world have the same name."""
        return self._try_to_shape(*plot)

    @forbidden_move(422, "malformed_request", plot=chosen(free_plots), spoilt=any_of(SPOILT_REGIONS))
    def add_a_malformed_region(self, plot: Plot, spoilt: str) -> Answer:
        """A malformed region is refused, even from a founder."""
        body = {"name": plot.name, "description": "Plain."}
        return self.add_region(plot.site.agent, self.model.worlds[plot.site.world].id, SPOILT_REGIONS[spoilt](body))

    @forbidden_move(
        404, "world_not_found", agent=chosen(RegionModel.names), world_id=ids_of_nothing_in("worlds"), name=A_NAME
    )
    def add_a_region_to_an_unknown_world(self, agent: str, world_id: str, name: str) -> Answer:
        """The id of a proposal is not the id of its world."""
        return self.add_region(agent, world_id, {"name": name, "description": "Plain."})

    @forbidden_move(404, "world_not_found", world_id=ids_of_nothing_in("worlds"))
    def list_the_regions_of_an_unknown_world(self, world_id: str) -> Answer:
        """The list of an unknown world is refused; it is not empty."""
        return self.read(f"/worlds/{world_id}/regions")

    def _try_to_shape(self, site: Site, name: str) -> Answer:
        return self.add_region(site.agent, self.model.worlds[site.world].id, {"name": name, "description": "Plain."})
