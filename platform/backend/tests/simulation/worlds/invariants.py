"""Invariants of worlds and their regions."""

from simulation.engine.checks import always
from simulation.worlds.actions import RegionActions


class WorldInvariants(RegionActions):
    """Read from the table worlds."""

    @always
    def approved_proposals_have_exactly_one_world(self) -> None:
        """W1: an approved proposal has exactly one world, any other has none."""
        self.expect_rows(
            {proposal.id: 1 for proposal in self.model.proposals.values() if proposal.status == "approved"},
            "SELECT proposal_id::text, count(*) FROM worlds GROUP BY 1 ORDER BY 1",
        )

    @always
    def worlds_are_what_was_proposed(self) -> None:
        """W2: a world has the id that its founding vote was told, and its proposal's premise and year."""
        self.expect_rows(
            {
                world.id: (proposal.id, proposal.draft.premise, proposal.draft.year)
                for name, world in self.model.worlds.items()
                for proposal in (self.model.proposals[name],)
            },
            "SELECT id::text, proposal_id::text, premise, year FROM worlds ORDER BY id",
        )

    @always
    def worlds_are_their_founders(self) -> None:
        """W3: a world was founded by the author of its proposal."""
        self.expect_rows(
            {world.id: self.model.agents[self.model.founder(name)].id for name, world in self.model.worlds.items()},
            "SELECT id::text, founder_id::text FROM worlds ORDER BY id",
        )


class RegionInvariants(RegionActions):
    """Read from the table regions."""

    @always
    def regions_are_those_that_were_added(self) -> None:
        """R1: the regions are exactly those that were added, each to its world, with their names and descriptions."""
        self.expect_rows(
            {
                region.id: (self.model.worlds[region.world].id, region.name, region.description)
                for region in self.model.regions.values()
            },
            "SELECT id::text, world_id::text, name, description FROM regions ORDER BY id",
        )

    @always
    def regions_of_a_world_have_names_of_their_own(self) -> None:
        """R2: no two regions of a world have the same name."""
        self.expect_rows(
            {(self.model.worlds[region.world].id, region.name): 1 for region in self.model.regions.values()},
            "SELECT world_id::text, name, count(*) FROM regions GROUP BY 1, 2 ORDER BY 1, 2",
            columns=2,
        )
