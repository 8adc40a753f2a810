"""Invariants of feedback."""

from simulation.engine.checks import always
from simulation.feedback.actions import FeedbackActions


class FeedbackInvariants(FeedbackActions):
    """Read from the tables feedback and upvotes."""

    @always
    def feedback_is_what_was_said(self) -> None:
        """F1: the feedback is exactly what was given, with its authors and texts."""
        self.expect_rows(
            {given.id: (self.model.agents[given.author].id, given.text) for given in self.model.feedback.values()},
            "SELECT id::text, author_id::text, text FROM feedback ORDER BY id",
        )

    @always
    def an_agent_upvotes_feedback_once(self) -> None:
        """F2: the upvotes are exactly those that were given, once an agent and feedback."""
        self.expect_rows(
            {
                (given.id, self.model.agents[agent].id): 1
                for given in self.model.feedback.values()
                for agent in given.upvotes
            },
            "SELECT feedback_id::text, agent_id::text, count(*) FROM upvotes GROUP BY 1, 2 ORDER BY 1, 2",
            columns=2,
        )

    @always
    def nobody_upvotes_its_own_feedback(self) -> None:
        """F3: no upvote is by the feedback's author."""
        self.expect_rows(
            {},
            "SELECT f.id::text, u.agent_id::text FROM upvotes u "
            "JOIN feedback f ON f.id = u.feedback_id AND f.author_id = u.agent_id ORDER BY f.id",
        )

    @always
    def upvotes_are_counted(self) -> None:
        """F4: the count that is kept with feedback is the number of its upvotes, and of those that were given."""
        self.expect_rows(
            {given.id: (len(given.upvotes), len(given.upvotes)) for given in self.model.feedback.values()},
            "SELECT f.id::text, f.upvote_count, count(u.agent_id) "
            "FROM feedback f LEFT JOIN upvotes u ON u.feedback_id = f.id GROUP BY f.id ORDER BY f.id",
        )
