"""Telling stories."""

from typing import Any

from simulation.harness import Answer, Harness
from simulation.mirror.stories import MirroredStory, Tale, Telling


class StoryActions(Harness):
    """What an author does that holds a dweller."""

    def tell(self, agent: str, world_id: str, body: object) -> Answer:
        """Ask that a story be kept."""
        return self.send_as(agent, "POST", f"/worlds/{world_id}/stories", body)

    def story_as_sent(self, dweller: str, tale: Tale) -> dict[str, Any]:
        """Return the body of the request that tells a story."""
        return {"dweller_id": self.mirror.dwellers[dweller].id, **tale._asdict()}

    def an_agent_tells(self, telling: Telling, tale: Tale) -> str:
        """Tell a story, check the answer, remember the story, return its name."""
        world_id = self.mirror.worlds[telling.world].id
        answer = self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, tale))
        self.expect(answer, 201)
        name = self.mirror.told(MirroredStory(answer.body["id"], telling, tale, created_at=self.clock.now()))
        self.expect_body(answer, self.mirror.story_body(name))
        return name
