"""Populating worlds."""

from simulation.harness import Answer, Harness
from simulation.mirror.dwellers import MirroredDweller


class DwellerActions(Harness):
    """What a founder does for those who live in its world."""

    def add_dweller(self, agent: str, world_id: str, body: object) -> Answer:
        """Ask for a new dweller."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/dwellers", body)

    def a_founder_adds_a_dweller(self, region: str, name: str, persona: str) -> str:
        """Add a dweller to a region, check the answer, remember the dweller, return what it is called in the mirror."""
        mirrored = self.mirror.regions[region]
        body = {"region_id": mirrored.id, "name": name, "persona": persona}
        answer = self.add_dweller(self.mirror.founder(mirrored.world), self.mirror.worlds[mirrored.world].id, body)
        self.expect(answer, 201)
        dweller = self.mirror.dweller_added(
            MirroredDweller(answer.body["id"], mirrored.world, region, name, persona, self.clock.now())
        )
        self.expect_body(answer, self.mirror.dweller_body(dweller))
        return dweller
