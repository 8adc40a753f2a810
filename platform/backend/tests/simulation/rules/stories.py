"""Moves around telling stories."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.checks import forbidden_move, move
from simulation.harness import Answer
from simulation.mirror.stories import Tale, Telling
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, ids_that_name_none_of, there_are
from simulation.strategies.lists import A_FEW
from simulation.strategies.stories import SPOILT_TALES, TALES

PLAIN_TALE = Tale("Plain.", "Plain.")


class StoryRules(DeepSciFiBaseRules):
    """Telling stories through whom one holds, and reading them."""

    @precondition(there_are(StateMirror.tellings))
    @move(telling=chosen(StateMirror.tellings), tale=TALES)
    def tell_a_story(self, telling: Telling, tale: Tale) -> None:
        """Who holds a dweller tells of its world."""
        self.an_agent_tells(telling, tale)

    @precondition(there_are(StateMirror.story_names))
    @move(name=chosen(StateMirror.story_names))
    def read_a_story(self, name: str) -> None:
        """Anyone reads a story, with what its reviews add up to."""
        answer = self.read(f"/stories/{self.mirror.stories[name].id}")
        self.expect(answer, 200)
        self.expect_body(answer, self.mirror.story_body(name))

    @precondition(there_are(StateMirror.world_names))
    @move(world=chosen(StateMirror.world_names), limit=st.sampled_from([1, 2, 100]))
    def list_the_stories_of_a_world(self, world: str, limit: int) -> None:
        """The list shows the newest stories of this world and of no other."""
        path = f"/worlds/{self.mirror.worlds[world].id}/stories"
        self.expect_page(path, "stories", self.mirror.story_bodies(world), limit)

    @precondition(there_are(StateMirror.tellings))
    @move(limit=A_FEW, telling=chosen(StateMirror.tellings))
    def read_all_stories_while_one_is_told(self, limit: int, telling: Telling) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            f"/worlds/{self.mirror.worlds[telling.world].id}/stories",
            "stories",
            lambda: self.mirror.story_bodies(telling.world),
            limit,
            between=lambda: self.an_agent_tells(telling, PLAIN_TALE),
        )

    @precondition(there_are(StateMirror.tellings_through_others))
    @forbidden_move(telling=chosen(StateMirror.tellings_through_others))
    def tell_a_story_through_whom_somebody_else_holds(self, telling: Telling) -> None:
        """One dweller does not speak for two agents."""
        self.expect(self._try_to_tell(telling), 403, "not_the_holder")

    @precondition(there_are(StateMirror.tellings_through_nobodys))
    @forbidden_move(telling=chosen(StateMirror.tellings_through_nobodys))
    def tell_a_story_through_whom_nobody_holds(self, telling: Telling) -> None:
        """Nor for an agent that has not claimed it, or has let it go."""
        self.expect(self._try_to_tell(telling), 403, "not_the_holder")

    @precondition(there_are(StateMirror.tellings_after_the_lapse))
    @forbidden_move(telling=chosen(StateMirror.tellings_after_the_lapse))
    def tell_a_story_after_the_lapse(self, telling: Telling) -> None:
        """A claim of yesterday is none, though nobody has settled it yet."""
        self.expect(self._try_to_tell(telling), 403, "not_the_holder")

    @precondition(there_are(StateMirror.tellings_of_another_world))
    @forbidden_move(telling=chosen(StateMirror.tellings_of_another_world))
    def tell_a_story_of_a_world_the_dweller_does_not_live_in(self, telling: Telling) -> None:
        """A dweller knows its own world."""
        self.expect(self._try_to_tell(telling), 404, "dweller_not_found")

    @precondition(there_are(StateMirror.world_names))
    @forbidden_move(
        agent=chosen(StateMirror.names),
        world=chosen(StateMirror.world_names),
        dweller_id=ids_that_name_none_of(StateMirror.dweller_ids),
    )
    def tell_a_story_through_an_unknown_dweller(self, agent: str, world: str, dweller_id: str) -> None:
        """The id of something else is not the id of a dweller."""
        body = {"dweller_id": dweller_id, **PLAIN_TALE._asdict()}
        self.expect(self.tell(agent, self.mirror.worlds[world].id, body), 404, "dweller_not_found")

    @precondition(there_are(StateMirror.tellings))
    @forbidden_move(telling=chosen(StateMirror.tellings), world_id=ids_that_name_none_of(StateMirror.world_ids))
    def tell_a_story_of_an_unknown_world(self, telling: Telling, world_id: str) -> None:
        """The id of something else is not the id of a world."""
        answer = self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, PLAIN_TALE))
        self.expect(answer, 404, "world_not_found")

    @precondition(there_are(StateMirror.tellings))
    @forbidden_move(telling=chosen(StateMirror.tellings), spoilt=st.sampled_from(sorted(SPOILT_TALES)))
    def tell_a_malformed_story(self, telling: Telling, spoilt: str) -> None:
        """What is no story is refused, even of an agent that may tell one."""
        body = SPOILT_TALES[spoilt](self.story_as_sent(telling.dweller, PLAIN_TALE))
        answer = self.tell(telling.agent, self.mirror.worlds[telling.world].id, body)
        self.expect(answer, 422, "malformed_request")

    @forbidden_move(story_id=ids_that_name_none_of(StateMirror.story_ids))
    def read_an_unknown_story(self, story_id: str) -> None:
        """The id of something else is not the id of a story."""
        self.expect(self.read(f"/stories/{story_id}"), 404, "story_not_found")

    @forbidden_move(world_id=ids_that_name_none_of(StateMirror.world_ids))
    def list_the_stories_of_an_unknown_world(self, world_id: str) -> None:
        """Of no world there are no stories, not none."""
        self.expect(self.read(f"/worlds/{world_id}/stories"), 404, "world_not_found")

    def _try_to_tell(self, telling: Telling) -> Answer:
        world_id = self.mirror.worlds[telling.world].id
        return self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, PLAIN_TALE))
