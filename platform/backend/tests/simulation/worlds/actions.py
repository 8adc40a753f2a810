"""Shaping worlds."""

from typing import Any

from simulation.engine.harness import Answer, Harness
from simulation.worlds.model import MirroredRegion


class RegionActions(Harness):
    """What a founder does."""

    def add_region(self, agent: str, world_id: str, body: Any) -> Answer:
        """Ask for a new region."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/regions", body)

    def an_agent_adds_a_region(self, agent: str, world: str, name: str, description: str) -> str:
        """Add a region to a world, check the answer, remember the region, return its name in the mirror."""
        answer = self.add_region(agent, self.mirror.worlds[world].id, {"name": name, "description": description})
        self.expect(answer, 201)
        region = self.mirror.region_added(MirroredRegion(answer.body["id"], world, name, description, self.clock.now()))
        self.expect_body(answer, self.mirror.region_body(region))
        return region
