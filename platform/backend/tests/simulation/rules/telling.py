"""How stories came to be told before an example begins, and feedback to be given."""

from simulation.base import DeepSciFiBaseRules
from simulation.mirror.feedback import Agreement
from simulation.mirror.reviews import Opinion, Reply
from simulation.mirror.stories import Judgement, Tale
from simulation.strategies.agents import FIRST_USERNAMES
from simulation.strategies.receptions import RECEPTIONS


class StoryTelling(DeepSciFiBaseRules):
    """What the history of stories and of feedback is made of."""

    def tell_what_was_received(self, receptions: list[str]) -> None:
        """Let each holder in turn tell a story, as long as there are any, and let it be received like this."""
        for telling, reception in zip(self.mirror.tellings(), receptions, strict=False):
            story = self.an_agent_tells(telling, Tale("Plain.", "Plain."))
            readers = [name for name in self.mirror.names() if name != telling.agent]
            for reader, (recommends, answered) in zip(readers, RECEPTIONS[reception], strict=False):
                self.an_agent_reviews(Opinion(reader, story), Judgement(3, recommends, f"A review by {reader}."))
                if answered:
                    self.an_agent_responds(Reply(telling.agent, reader, story), f"Thank you, {reader}.")

    def say_what_is_shared(self, upvotes: list[int]) -> None:
        """Let the first agent give feedback, and as many others agree."""
        author, *others = FIRST_USERNAMES
        for count in upvotes:
            feedback = self.an_agent_gives_feedback(author, "Plain.")
            for agent in others[:count]:
                self.an_agent_upvotes(Agreement(agent, feedback))
