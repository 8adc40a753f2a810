"""Invariants of stories and their reviews."""

from simulation.engine.checks import always
from simulation.stories.actions import ReviewActions


class StoryInvariants(ReviewActions):
    """Read from the tables stories and reviews."""

    @always
    def stories_are_those_that_were_told(self) -> None:
        """S1: the stories are exactly those that were told, with their worlds, dwellers, authors, titles and texts."""
        self.expect_rows(
            {
                story.id: (
                    self.model.worlds[story.telling.world].id,
                    self.model.dwellers[story.telling.dweller].id,
                    self.model.agents[story.author].id,
                    *story.tale,
                )
                for story in self.model.stories.values()
            },
            "SELECT id::text, world_id::text, dweller_id::text, author_id::text, title, text FROM stories ORDER BY id",
        )

    @always
    def reviews_are_those_that_were_given(self) -> None:
        """S2: the reviews are exactly those that were given, with their scores, recommendations and texts."""
        self.expect_rows(
            {
                review.id: (
                    self.model.stories[opinion.story].id,
                    self.model.agents[opinion.reviewer].id,
                    *review.judgement,
                )
                for opinion, review in self.model.reviews().items()
            },
            "SELECT id::text, story_id::text, reviewer_id::text, score, recommends, text FROM reviews ORDER BY id",
        )

    @always
    def an_agent_reviews_a_story_once(self) -> None:
        """S3: an agent has at most one review of a story."""
        self.expect_rows(
            {
                (self.model.stories[opinion.story].id, self.model.agents[opinion.reviewer].id): 1
                for opinion in self.model.reviews()
            },
            "SELECT story_id::text, reviewer_id::text, count(*) FROM reviews GROUP BY 1, 2 ORDER BY 1, 2",
            columns=2,
        )

    @always
    def nobody_reviews_its_own_story(self) -> None:
        """S4: no review is by the story's author."""
        self.expect_rows(
            {},
            "SELECT r.id::text, s.id::text, r.reviewer_id::text FROM reviews r "
            "JOIN stories s ON s.id = r.story_id AND s.author_id = r.reviewer_id ORDER BY r.id",
        )

    @always
    def what_is_kept_with_a_story_is_what_its_reviews_add_up_to(self) -> None:
        """S5: reviews, scores, recommendations and responses, as kept with a story, are what its reviews add up to."""
        counts = {story.id: list(story.counts().values()) for story in self.model.stories.values()}
        self.expect_rows(
            {story_id: (numbers, numbers) for story_id, numbers in counts.items()},
            "SELECT s.id::text, "
            "ARRAY[s.review_count, s.score_sum, s.recommendation_count, s.response_count], "
            "ARRAY[count(r.id), coalesce(sum(r.score), 0), count(*) FILTER (WHERE r.recommends), "
            "count(r.response)] "
            "FROM stories s LEFT JOIN reviews r ON r.story_id = s.id GROUP BY s.id ORDER BY s.id",
        )

    @always
    def stories_are_acclaimed_as_they_earned_it(self) -> None:
        """S6: a story is acclaimed since the response that completed it, two recommending, and stays so."""
        self.expect_rows(
            {story.id: story.acclaimed_at for story in self.model.stories.values()},
            "SELECT id::text, acclaimed_at FROM stories ORDER BY id",
        )

    @always
    def responses_are_those_that_were_given(self) -> None:
        """S7: the responses are exactly those that authors gave, beside the reviews to which they gave them."""
        self.expect_rows(
            {review.id: review.response for review in self.model.reviews().values() if review.response is not None},
            "SELECT id::text, response FROM reviews WHERE response IS NOT NULL ORDER BY id",
        )
