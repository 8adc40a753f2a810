"""Moves around telling stories, and around reviewing them."""

from hypothesis import strategies as st

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import a_name_in, any_of, chosen, ids_of_nothing_in
from simulation.engine.harness import Answer
from simulation.engine.lists import A_FEW
from simulation.engine.prose import prose
from simulation.stories.actions import ReviewActions
from simulation.stories.model import Judgement, Opinion, Reply, ReviewModel, Tale, Telling
from simulation.stories.strategies import JUDGEMENTS, SPOILT_RESPONSES, SPOILT_REVIEWS, SPOILT_TALES, TALES

PLAIN_JUDGEMENT = Judgement(3, True, "Plain.")

PLAIN_TALE = Tale("Plain.", "Plain.")


class StoryRules(ReviewActions):
    """Telling stories through a dweller that one holds, and reading them."""

    @move(telling=chosen(ReviewModel.tellings), tale=TALES)
    def tell_a_story(self, telling: Telling, tale: Tale) -> None:
        """The holder of a dweller tells a story of its world."""
        self.an_agent_tells(telling, tale)

    @move(name=a_name_in("stories"))
    def read_a_story(self, name: str) -> None:
        """Anyone reads a story, with what its reviews add up to."""
        self.expect_read(f"/stories/{self.model.stories[name].id}", self.model.story_body(name))

    @move(world=a_name_in("worlds"), limit=st.sampled_from([1, 2, 100]))
    def list_the_stories_of_a_world(self, world: str, limit: int) -> None:
        """The list shows the newest stories of this world and of no other."""
        path = f"/worlds/{self.model.worlds[world].id}/stories"
        self.expect_page(path, "stories", self.model.story_bodies(world), limit)

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

    @forbidden_move(403, "not_the_holder", telling=chosen(ReviewModel.tellings_through_others))
    def tell_a_story_through_whom_somebody_else_holds(self, telling: Telling) -> Answer:
        """An agent cannot tell a story through a dweller that another one holds."""
        return self._try_to_tell(telling)

    @forbidden_move(403, "not_the_holder", telling=chosen(ReviewModel.tellings_through_nobodys))
    def tell_a_story_through_whom_nobody_holds(self, telling: Telling) -> Answer:
        """An agent cannot tell a story through a dweller that it has not claimed, or has released."""
        return self._try_to_tell(telling)

    @forbidden_move(403, "not_the_holder", telling=chosen(ReviewModel.tellings_after_the_lapse))
    def tell_a_story_after_the_lapse(self, telling: Telling) -> Answer:
        """After the lapse the holder cannot tell a story, although nobody has settled the claim yet."""
        return self._try_to_tell(telling)

    @forbidden_move(404, "dweller_not_found", telling=chosen(ReviewModel.tellings_of_another_world))
    def tell_a_story_of_a_world_the_dweller_does_not_live_in(self, telling: Telling) -> Answer:
        """A story is of the world in which its dweller lives."""
        return self._try_to_tell(telling)

    @forbidden_move(
        404,
        "dweller_not_found",
        agent=chosen(ReviewModel.names),
        world=a_name_in("worlds"),
        dweller_id=ids_of_nothing_in("dwellers"),
    )
    def tell_a_story_through_an_unknown_dweller(self, agent: str, world: str, dweller_id: str) -> Answer:
        """The id of something else is not the id of a dweller."""
        body = {"dweller_id": dweller_id, **PLAIN_TALE._asdict()}
        return self.tell(agent, self.model.worlds[world].id, body)

    @forbidden_move(404, "world_not_found", telling=chosen(ReviewModel.tellings), world_id=ids_of_nothing_in("worlds"))
    def tell_a_story_of_an_unknown_world(self, telling: Telling, world_id: str) -> Answer:
        """The id of something else is not the id of a world."""
        return self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, PLAIN_TALE))

    @forbidden_move(422, "malformed_request", telling=chosen(ReviewModel.tellings), spoilt=any_of(SPOILT_TALES))
    def tell_a_malformed_story(self, telling: Telling, spoilt: str) -> Answer:
        """A malformed story is refused, even from an agent that may tell one."""
        body = SPOILT_TALES[spoilt](self.story_as_sent(telling.dweller, PLAIN_TALE))
        return self.tell(telling.agent, self.model.worlds[telling.world].id, body)

    @forbidden_move(404, "story_not_found", story_id=ids_of_nothing_in("stories"))
    def read_an_unknown_story(self, story_id: str) -> Answer:
        """The id of something else is not the id of a story."""
        return self.read(f"/stories/{story_id}")

    @forbidden_move(404, "world_not_found", world_id=ids_of_nothing_in("worlds"))
    def list_the_stories_of_an_unknown_world(self, world_id: str) -> Answer:
        """The list of an unknown world is refused; it is not empty."""
        return self.read(f"/worlds/{world_id}/stories")

    def _try_to_tell(self, telling: Telling) -> Answer:
        world_id = self.model.worlds[telling.world].id
        return self.tell(telling.agent, world_id, self.story_as_sent(telling.dweller, PLAIN_TALE))


class ReviewRules(ReviewActions):
    """Reviewing the stories of others once, and responding once to the reviews of one's own."""

    @move(opinion=chosen(ReviewModel.opinions), judgement=JUDGEMENTS)
    def review_a_story(self, opinion: Opinion, judgement: Judgement) -> None:
        """Any agent says what it thinks of another's story."""
        self.an_agent_reviews(opinion, judgement)

    @move(reply=chosen(ReviewModel.replies), response=prose())
    def respond_to_a_review(self, reply: Reply, response: str) -> None:
        """The author has its say; the last response to a story that is recommended enough acclaims it."""
        self.an_agent_responds(reply, response)

    @move(story=a_name_in("stories"), limit=st.sampled_from([1, 2, 100]))
    def list_the_reviews_of_a_story(self, story: str, limit: int) -> None:
        """The list shows the newest reviews of this story and of no other."""
        path = f"/stories/{self.model.stories[story].id}/reviews"
        self.expect_page(path, "reviews", self.model.review_bodies(story), limit)

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

    @forbidden_move(403, "own_story", opinion=chosen(ReviewModel.opinions_of_oneself), judgement=JUDGEMENTS)
    def review_ones_own_story(self, opinion: Opinion, judgement: Judgement) -> Answer:
        """No author judges itself."""
        return self._try_to_review(opinion, judgement)

    @forbidden_move(409, "already_reviewed", opinion=chosen(ReviewModel.second_opinions), judgement=JUDGEMENTS)
    def review_a_story_a_second_time(self, opinion: Opinion, judgement: Judgement) -> Answer:
        """An agent neither counts twice nor changes its mind."""
        return self._try_to_review(opinion, judgement)

    @forbidden_move(404, "story_not_found", agent=chosen(ReviewModel.names), story_id=ids_of_nothing_in("stories"))
    def review_an_unknown_story(self, agent: str, story_id: str) -> Answer:
        """The id of something else is not the id of a story."""
        return self.review(agent, story_id, PLAIN_JUDGEMENT._asdict())

    @forbidden_move(422, "malformed_request", opinion=chosen(ReviewModel.opinions), spoilt=any_of(SPOILT_REVIEWS))
    def review_a_story_in_a_malformed_way(self, opinion: Opinion, spoilt: str) -> Answer:
        """A malformed review is not counted, even from an agent that may review."""
        body = SPOILT_REVIEWS[spoilt](PLAIN_JUDGEMENT._asdict())
        return self.review(opinion.reviewer, self.model.stories[opinion.story].id, body)

    @forbidden_move(404, "story_not_found", story_id=ids_of_nothing_in("stories"))
    def list_the_reviews_of_an_unknown_story(self, story_id: str) -> Answer:
        """Of no story there are no reviews, not none."""
        return self.read(f"/stories/{story_id}/reviews")

    @forbidden_move(403, "not_the_author", reply=chosen(ReviewModel.replies_for_others))
    def respond_for_somebody_else(self, reply: Reply) -> Answer:
        """Only the author of a story defends it; a reviewer does not answer itself."""
        return self._try_to_respond(reply)

    @forbidden_move(409, "already_responded", reply=chosen(ReviewModel.second_replies))
    def respond_a_second_time(self, reply: Reply) -> Answer:
        """The author has one say."""
        return self._try_to_respond(reply)

    @forbidden_move(404, "review_not_found", agent=chosen(ReviewModel.names), review_id=ids_of_nothing_in("reviews"))
    def respond_to_an_unknown_review(self, agent: str, review_id: str) -> Answer:
        """The id of something else is not the id of a review."""
        return self.respond(agent, review_id, {"text": "Well."})

    @forbidden_move(422, "malformed_request", reply=chosen(ReviewModel.replies), spoilt=any_of(SPOILT_RESPONSES))
    def respond_in_a_malformed_way(self, reply: Reply, spoilt: str) -> Answer:
        """A malformed response is refused and acclaims nothing."""
        review_id = self.model.reviews()[reply.opinion].id
        return self.respond(reply.agent, review_id, SPOILT_RESPONSES[spoilt])

    def _try_to_review(self, opinion: Opinion, judgement: Judgement) -> Answer:
        return self.review(opinion.reviewer, self.model.stories[opinion.story].id, judgement._asdict())

    def _try_to_respond(self, reply: Reply) -> Answer:
        return self.respond(reply.agent, self.model.reviews()[reply.opinion].id, {"text": "Well."})
