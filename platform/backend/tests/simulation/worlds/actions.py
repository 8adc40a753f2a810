"""Shaping worlds."""

from typing import Any

from simulation.engine.harness import Answer
from simulation.proposals.actions import ValidationActions
from simulation.worlds.model import Region, RegionModel


class RegionActions(ValidationActions):
    """Adding regions."""

    model: RegionModel

    def add_region(self, agent: str, world_id: str, body: Any) -> Answer:
        """Ask for a new region."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/regions", body)

    def an_agent_adds_a_region(self, agent: str, world: str, name: str, description: str) -> str:
        """Add a region to a world, check the answer, remember the region, return its name in the model."""
        answer = self.add_region(agent, self.model.worlds[world].id, {"name": name, "description": description})
        self.expect(answer, 201)
        region = self.model.regions.add(Region(answer.body["id"], world, name, description, self.clock.now()))
        self.expect_body(answer, self.model.region_body(region))
        return region
