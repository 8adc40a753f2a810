"""Invariants of regions."""

from simulation.base import DeepSciFiBaseRules
from simulation.checks import always


class RegionInvariants(DeepSciFiBaseRules):
    """Read from the table regions."""

    STORED_TIMES = frozenset({("region added", "regions", "created_at")})

    @always
    def regions_are_those_that_were_added(self) -> None:
        """R1: the regions are exactly those that were added, each to its world, with their names and descriptions."""
        self.expect_rows(
            expected={
                region.id: (self.mirror.worlds[region.world].id, region.name, region.description)
                for region in self.mirror.regions.values()
            },
            found=self.rows_by_id("SELECT id::text, world_id::text, name, description FROM regions ORDER BY id"),
        )

    @always
    def regions_of_a_world_have_names_of_their_own(self) -> None:
        """R2: no two regions of a world have the same name."""
        self.expect_rows(
            expected={(self.mirror.worlds[region.world].id, region.name): 1 for region in self.mirror.regions.values()},
            found={
                (world_id, name): count
                for world_id, name, count in self.rows(
                    "SELECT world_id::text, name, count(*) FROM regions GROUP BY 1, 2 ORDER BY 1, 2"
                )
            },
        )
