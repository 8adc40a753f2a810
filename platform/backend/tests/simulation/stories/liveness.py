"""Stories find their readers."""

from simulation.agents.strategies import NEWCOMERS
from simulation.engine.checks import eventually
from simulation.stories.actions import ReviewActions
from simulation.stories.model import RECOMMENDATIONS_FOR_ACCLAIM, Judgement, Opinion


class StoryLiveness(ReviewActions):
    """No story is past praise."""

    @eventually
    def every_story_can_be_acclaimed(self) -> None:
        """L4: after a bounded number of honest moves every story is acclaimed, however it was received before."""
        for name, story in self.model.stories.items():
            for _ in range(RECOMMENDATIONS_FOR_ACCLAIM - story.counts()["recommendation_count"]):
                self.an_agent_reviews(Opinion(self._an_honest_reader(name), name), Judgement(5, True, "Well told."))
        for reply in sorted(self.model.replies()):
            self.an_agent_responds(reply, "Thank you.")
        self.expect_rows({}, "SELECT id::text, title FROM stories WHERE acclaimed_at IS NULL ORDER BY id")

    def _an_honest_reader(self, story: str) -> str:
        readers = sorted(opinion.reviewer for opinion in self.model.opinions() if opinion.story == story)
        if readers:
            return readers[0]
        newcomer = next(name for name in NEWCOMERS if name not in self.model.agents)
        self.an_agent_registers(newcomer)
        return newcomer
