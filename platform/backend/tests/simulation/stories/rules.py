"""Moves around telling stories, and around reviewing them."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import chosen, ids_that_name_none_of, there_are
from simulation.engine.harness import Answer
from simulation.engine.lists import A_FEW
from simulation.engine.prose import prose
from simulation.stories.actions import ReviewActions
from simulation.stories.model import Judgement, Opinion, Reply, ReviewModel, Tale, Telling
from simulation.stories.strategies import JUDGEMENTS, SPOILT_RESPONSES, SPOILT_REVIEWS, SPOILT_TALES, TALES

PLAIN_TALE = Tale("Plain.", "Plain.")


class StoryRules(ReviewActions):
    """Telling stories through whom one holds, and reading them."""

    @precondition(there_are(ReviewModel.tellings))
    @move(telling=chosen(ReviewModel.tellings), tale=TALES)
    def tell_a_story(self, telling: Telling, tale: Tale) -> None:
        """Who holds a dweller tells of its world."""
        self.an_agent_tells(telling, tale)

    @precondition(there_are(ReviewModel.story_names))
    @move(name=chosen(ReviewModel.story_names))
    def read_a_story(self, name: str) -> None:
        """Anyone reads a story, with what its reviews add up to."""
        answer = self.read(f"/stories/{self.model.stories[name].id}")
        self.expect(answer, 200)
        self.expect_body(answer, self.model.story_body(name))

    @precondition(there_are(ReviewModel.world_names))
    @move(world=chosen(ReviewModel.world_names), limit=st.sampled_from([1, 2, 100]))
    def list_the_stories_of_a_world(self, world: str, limit: int) -> None:
        """The list shows the newest stories of this world and of no other."""
        path = f"/worlds/{self.model.worlds[world].id}/stories"
        self.expect_page(path, "stories", self.model.story_bodies(world), limit)

    @precondition(there_are(ReviewModel.tellings))
    @move(limit=A_FEW, telling=chosen(ReviewModel.tellings))
    def read_all_stories_while_one_is_told(self, limit: int, telling: Telling) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            f"/worlds/{self.model.worlds[telling.world].id}/stories",
            "stories",
            lambda: self.model.story_bodies(telling.world),
            limit,
            between=lambda: self.an_agent_tells(telling, PLAIN_TALE),
        )

    @precondition(there_are(ReviewModel.tellings_through_others))
    @forbidden_move(telling=chosen(ReviewModel.tellings_through_others))
    def tell_a_story_through_whom_somebody_else_holds(self, telling: Telling) -> None:
        """One dweller does not speak for two agents."""
        self.expect(self._try_to_tell(telling), 403, "not_the_holder")

    @precondition(there_are(ReviewModel.tellings_through_nobodys))
    @forbidden_move(telling=chosen(ReviewModel.tellings_through_nobodys))
    def tell_a_story_through_whom_nobody_holds(self, telling: Telling) -> None:
        """Nor for an agent that has not claimed it, or has let it go."""
        self.expect(self._try_to_tell(telling), 403, "not_the_holder")

    @precondition(there_are(ReviewModel.tellings_after_the_lapse))
    @forbidden_move(telling=chosen(ReviewModel.tellings_after_the_lapse))
    def tell_a_story_after_the_lapse(self, telling: Telling) -> None:
        """A claim of yesterday is none, though nobody has settled it yet."""
        self.expect(self._try_to_tell(telling), 403, "not_the_holder")

    @precondition(there_are(ReviewModel.tellings_of_another_world))
    @forbidden_move(telling=chosen(ReviewModel.tellings_of_another_world))
    def tell_a_story_of_a_world_the_dweller_does_not_live_in(self, telling: Telling) -> None:
        """A dweller knows its own world."""
        self.expect(self._try_to_tell(telling), 404, "dweller_not_found")

    @precondition(there_are(ReviewModel.world_names))
    @forbidden_move(
        agent=chosen(ReviewModel.names),
        world=chosen(ReviewModel.world_names),
        dweller_id=ids_that_name_none_of(ReviewModel.dweller_ids),
    )
    def tell_a_story_through_an_unknown_dweller(self, agent: str, world: str, dweller_id: str) -> None:
        """The id of something else is not the id of a dweller."""
        body = {"dweller_id": dweller_id, **PLAIN_TALE._asdict()}
        self.expect(self.tell(agent, self.model.worlds[world].id, body), 404, "dweller_not_found")

    @precondition(there_are(ReviewModel.tellings))
    @forbidden_move(telling=chosen(ReviewModel.tellings), world_id=ids_that_name_none_of(ReviewModel.world_ids))
    def tell_a_story_of_an_unknown_world(self, telling: Telling, world_id: str) -> None:
        """The id of something else is not the id of a world."""
        answer = self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, PLAIN_TALE))
        self.expect(answer, 404, "world_not_found")

    @precondition(there_are(ReviewModel.tellings))
    @forbidden_move(telling=chosen(ReviewModel.tellings), spoilt=st.sampled_from(sorted(SPOILT_TALES)))
    def tell_a_malformed_story(self, telling: Telling, spoilt: str) -> None:
        """What is no story is refused, even of an agent that may tell one."""
        body = SPOILT_TALES[spoilt](self.story_as_sent(telling.dweller, PLAIN_TALE))
        answer = self.tell(telling.agent, self.model.worlds[telling.world].id, body)
        self.expect(answer, 422, "malformed_request")

    @forbidden_move(story_id=ids_that_name_none_of(ReviewModel.story_ids))
    def read_an_unknown_story(self, story_id: str) -> None:
        """The id of something else is not the id of a story."""
        self.expect(self.read(f"/stories/{story_id}"), 404, "story_not_found")

    @forbidden_move(world_id=ids_that_name_none_of(ReviewModel.world_ids))
    def list_the_stories_of_an_unknown_world(self, world_id: str) -> None:
        """Of no world there are no stories, not none."""
        self.expect(self.read(f"/worlds/{world_id}/stories"), 404, "world_not_found")

    def _try_to_tell(self, telling: Telling) -> Answer:
        world_id = self.model.worlds[telling.world].id
        return self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, PLAIN_TALE))


PLAIN_JUDGEMENT = Judgement(3, True, "Plain.")


class ReviewRules(ReviewActions):
    """Reviewing the stories of others once, and responding once to the reviews of one's own."""

    @precondition(there_are(ReviewModel.opinions))
    @move(opinion=chosen(ReviewModel.opinions), judgement=JUDGEMENTS)
    def review_a_story(self, opinion: Opinion, judgement: Judgement) -> None:
        """Any agent says what it thinks of another's story."""
        self.an_agent_reviews(opinion, judgement)

    @precondition(there_are(ReviewModel.replies))
    @move(reply=chosen(ReviewModel.replies), response=prose())
    def respond_to_a_review(self, reply: Reply, response: str) -> None:
        """The author has its say; the last response to a story that is recommended enough acclaims it."""
        self.an_agent_responds(reply, response)

    @precondition(there_are(ReviewModel.story_names))
    @move(story=chosen(ReviewModel.story_names), limit=st.sampled_from([1, 2, 100]))
    def list_the_reviews_of_a_story(self, story: str, limit: int) -> None:
        """The list shows the newest reviews of this story and of no other."""
        path = f"/stories/{self.model.stories[story].id}/reviews"
        self.expect_page(path, "reviews", self.model.review_bodies(story), limit)

    @precondition(there_are(ReviewModel.opinions))
    @move(limit=A_FEW, opinion=chosen(ReviewModel.opinions))
    def read_all_reviews_while_one_is_written(self, limit: int, opinion: Opinion) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            f"/stories/{self.model.stories[opinion.story].id}/reviews",
            "reviews",
            lambda: self.model.review_bodies(opinion.story),
            limit,
            between=lambda: self.an_agent_reviews(opinion, PLAIN_JUDGEMENT),
        )

    @precondition(there_are(ReviewModel.opinions_of_oneself))
    @forbidden_move(opinion=chosen(ReviewModel.opinions_of_oneself), judgement=JUDGEMENTS)
    def review_ones_own_story(self, opinion: Opinion, judgement: Judgement) -> None:
        """No author judges itself."""
        self.expect(self._try_to_review(opinion, judgement), 403, "own_story")

    @precondition(there_are(ReviewModel.second_opinions))
    @forbidden_move(opinion=chosen(ReviewModel.second_opinions), judgement=JUDGEMENTS)
    def review_a_story_a_second_time(self, opinion: Opinion, judgement: Judgement) -> None:
        """An agent neither counts twice nor changes its mind."""
        self.expect(self._try_to_review(opinion, judgement), 409, "already_reviewed")

    @forbidden_move(agent=chosen(ReviewModel.names), story_id=ids_that_name_none_of(ReviewModel.story_ids))
    def review_an_unknown_story(self, agent: str, story_id: str) -> None:
        """The id of something else is not the id of a story."""
        self.expect(self.review(agent, story_id, PLAIN_JUDGEMENT._asdict()), 404, "story_not_found")

    @precondition(there_are(ReviewModel.opinions))
    @forbidden_move(opinion=chosen(ReviewModel.opinions), spoilt=st.sampled_from(sorted(SPOILT_REVIEWS)))
    def review_a_story_in_a_malformed_way(self, opinion: Opinion, spoilt: str) -> None:
        """What is no opinion is not counted, even of an agent that may have one."""
        body = SPOILT_REVIEWS[spoilt](PLAIN_JUDGEMENT._asdict())
        answer = self.review(opinion.reviewer, self.model.stories[opinion.story].id, body)
        self.expect(answer, 422, "malformed_request")

    @forbidden_move(story_id=ids_that_name_none_of(ReviewModel.story_ids))
    def list_the_reviews_of_an_unknown_story(self, story_id: str) -> None:
        """Of no story there are no reviews, not none."""
        self.expect(self.read(f"/stories/{story_id}/reviews"), 404, "story_not_found")

    @precondition(there_are(ReviewModel.replies_for_others))
    @forbidden_move(reply=chosen(ReviewModel.replies_for_others))
    def respond_for_somebody_else(self, reply: Reply) -> None:
        """Only the author of a story defends it; a reviewer does not answer itself."""
        self.expect(self._try_to_respond(reply), 403, "not_the_author")

    @precondition(there_are(ReviewModel.second_replies))
    @forbidden_move(reply=chosen(ReviewModel.second_replies))
    def respond_a_second_time(self, reply: Reply) -> None:
        """The author has one say."""
        self.expect(self._try_to_respond(reply), 409, "already_responded")

    @forbidden_move(agent=chosen(ReviewModel.names), review_id=ids_that_name_none_of(ReviewModel.review_ids))
    def respond_to_an_unknown_review(self, agent: str, review_id: str) -> None:
        """The id of something else is not the id of a review."""
        self.expect(self.respond(agent, review_id, {"text": "Well."}), 404, "review_not_found")

    @precondition(there_are(ReviewModel.replies))
    @forbidden_move(reply=chosen(ReviewModel.replies), spoilt=st.sampled_from(sorted(SPOILT_RESPONSES)))
    def respond_in_a_malformed_way(self, reply: Reply, spoilt: str) -> None:
        """What says nothing is no response, and acclaims nothing."""
        review_id = self.model.reviews()[reply.opinion].id
        self.expect(self.respond(reply.agent, review_id, SPOILT_RESPONSES[spoilt]), 422, "malformed_request")

    def _try_to_review(self, opinion: Opinion, judgement: Judgement) -> Answer:
        return self.review(opinion.reviewer, self.model.stories[opinion.story].id, judgement._asdict())

    def _try_to_respond(self, reply: Reply) -> Answer:
        return self.respond(reply.agent, self.model.reviews()[reply.opinion].id, {"text": "Well."})
