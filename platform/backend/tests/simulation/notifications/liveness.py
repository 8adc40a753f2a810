"""Nothing that an agent is told stays unread for want of a way to read it."""

from simulation.engine.checks import eventually
from simulation.notifications.actions import NotificationActions
from simulation.notifications.model import Reading


class NotificationLiveness(NotificationActions):
    """No notification is out of reach."""

    @eventually
    def every_notification_can_be_read(self) -> None:
        """L3: every agent can read all that it was told, page by page, and then nothing of it is unread."""
        for name in self.model.names():
            self.an_agent_reads_all_notifications(name, limit=None)
            self.an_agent_marks_as_read(Reading(name, self.model.last_number(name)))
        self.expect_rows(
            {}, "SELECT agent_id::text, last_number - read_up_to FROM inboxes WHERE last_number > read_up_to ORDER BY 1"
        )
