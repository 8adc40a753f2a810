"""Reading what one was told."""

from functools import partial

from simulation.agents.actions import AgentActions
from simulation.engine.errands import errand
from simulation.engine.harness import Answer
from simulation.notifications.model import NotificationModel, Reading


class NotificationActions(AgentActions):
    """Reading notifications and marking them as read."""

    model: NotificationModel

    SOMETIMES = frozenset({"a notification is read"})

    def mark_as_read(self, agent: str, body: object) -> Answer:
        """Ask that notifications count as read."""
        return self.send_as(agent, "POST", "/notifications/read", body)

    def an_agent_reads_notifications(self, agent: str, after: int, limit: int | None) -> int | None:
        """Read a page of an inbox, which what has lapsed until now is put into first; return what comes after it."""
        self.model.settle_lapsed(agent)
        bodies = self.model.notification_bodies(agent)
        reading = self.model.reading_body(agent)
        return self.expect_numbered_page(
            "/notifications", "notifications", bodies, after, limit, read=partial(self.send_as, agent, "GET"), **reading
        )

    def an_agent_reads_all_notifications(self, agent: str, limit: int | None) -> None:
        """Read an inbox from its first page to its last."""
        after: int | None = 0
        while after is not None:
            after = self.an_agent_reads_notifications(agent, after, limit)

    @errand(refused=NotificationModel.refusal_of_a_reading)
    def an_agent_marks_as_read(self, reading: Reading) -> None:
        """Say up to which number an agent has read, check the answer, remember it."""
        agent, up_to = reading
        read_before = self.model.read_up_to[agent]
        answer = self.mark_as_read(agent, {"up_to": up_to})
        self.expect(answer, 200)
        self.model.marked_as_read(agent, up_to)
        self.expect_body(answer, self.model.reading_body(agent))
        self.sometimes("a notification is read", up_to > read_before)
