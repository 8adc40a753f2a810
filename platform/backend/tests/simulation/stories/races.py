"""Reviews and responses at once."""

from hypothesis.strategies import DataObject

from simulation.engine.checks import race
from simulation.engine.choosing import some, some_about_one
from simulation.stories.actions import ReviewActions
from simulation.stories.model import Judgement, Opinion, Reply, ReviewModel
from simulation.stories.strategies import JUDGEMENTS


class ReviewRaces(ReviewActions):
    """Reviewing one story at once, and responding."""

    SOMETIMES = frozenset({"a story is acclaimed while somebody reviews or is answered"})

    @race(opinions=some_about_one(ReviewModel.opinions, lambda _model, opinion: opinion.story), judgement=JUDGEMENTS)
    def review_one_story_at_once(self, data: DataObject, opinions: list[Opinion], judgement: Judgement) -> None:
        """Every reviewer counts once."""
        self.at_once(data, *(self.attempt(self.an_agent_reviews, opinion, judgement=judgement) for opinion in opinions))

    @race(
        replies=some_about_one(ReviewModel.replies, lambda _model, reply: reply.story, most=3),
        reviewers=some(ReviewModel.names, fewest=0, most=1),
        judgement=JUDGEMENTS,
    )
    def respond_to_one_storys_reviews_at_once(
        self, data: DataObject, replies: list[Reply], reviewers: list[str], judgement: Judgement
    ) -> None:
        """The last response acclaims, unless a review without a response came before it."""
        story = self.model.stories[replies[0].story]
        was_acclaimed = story.acclaimed_at is not None
        opinions = [Opinion(reviewer, replies[0].story) for reviewer in reviewers if reviewer != story.author]
        responses = [self.attempt(self.an_agent_responds, reply, response="Well.") for reply in replies]
        reviews = [self.attempt(self.an_agent_reviews, opinion, judgement=judgement) for opinion in opinions]
        self.at_once(data, *responses, *reviews)
        acclaimed = self.model.stories[replies[0].story].acclaimed_at is not None and not was_acclaimed
        self.sometimes("a story is acclaimed while somebody reviews or is answered", acclaimed)
