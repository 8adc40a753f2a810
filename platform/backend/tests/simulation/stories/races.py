"""Who reviews and responds at once."""

from functools import partial

from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.base import DeepSciFiBaseRules
from simulation.engine.checks import clash
from simulation.engine.choosing import some, some_about_one, there_are
from simulation.state_mirror import StateMirror
from simulation.stories.model import Judgement, Opinion, Reply
from simulation.stories.strategies import JUDGEMENTS


class ReviewClashes(DeepSciFiBaseRules):
    """Reviewing one story at once, and responding."""

    SOMETIMES = frozenset({"a story is acclaimed while somebody reviews or is answered"})

    @precondition(there_are(StateMirror.opinions))
    @clash(
        opinions=some_about_one(StateMirror.opinions, lambda _mirror, opinion: opinion.story),
        judgement=JUDGEMENTS,
    )
    def review_one_story_at_once(self, data: DataObject, opinions: list[Opinion], judgement: Judgement) -> None:
        """Every reviewer counts once."""
        self.at_once(data, *(partial(self._reviews_unless_refused, opinion, judgement) for opinion in opinions))

    @precondition(there_are(StateMirror.replies))
    @clash(
        replies=some_about_one(StateMirror.replies, lambda _mirror, reply: reply.story, most=3),
        reviewers=some(StateMirror.names, fewest=0, most=1),
        judgement=JUDGEMENTS,
    )
    def respond_to_one_storys_reviews_at_once(
        self, data: DataObject, replies: list[Reply], reviewers: list[str], judgement: Judgement
    ) -> None:
        """The response that is last acclaims, if no review comes before it that nobody has answered."""
        story = self.mirror.stories[replies[0].story]
        was_acclaimed = story.acclaimed_at is not None
        opinions = [Opinion(reviewer, replies[0].story) for reviewer in reviewers if reviewer != story.author]
        responses = [partial(self._responds_unless_refused, reply) for reply in replies]
        reviews = [partial(self._reviews_unless_refused, opinion, judgement) for opinion in opinions]
        self.at_once(data, *responses, *reviews)
        acclaimed = self.mirror.stories[replies[0].story].acclaimed_at is not None and not was_acclaimed
        self.sometimes("a story is acclaimed while somebody reviews or is answered", acclaimed)

    def _reviews_unless_refused(self, opinion: Opinion, judgement: Judgement) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_a_review(opinion),
            act=partial(self.an_agent_reviews, opinion, judgement),
            ask=partial(self.review, opinion.reviewer, self.mirror.stories[opinion.story].id, judgement._asdict()),
        )

    def _responds_unless_refused(self, reply: Reply) -> None:
        review_id = self.mirror.reviews()[reply.opinion].id
        self.done_unless_refused(
            self.mirror.refusal_of_a_response(reply),
            act=partial(self.an_agent_responds, reply, "Well."),
            ask=partial(self.respond, reply.agent, review_id, {"text": "Well."}),
        )
