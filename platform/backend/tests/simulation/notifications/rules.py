"""Moves around notifications."""

from hypothesis import strategies as st

from simulation.engine.checks import forbidden_move, move
from simulation.engine.choosing import any_of, chosen
from simulation.engine.harness import Answer
from simulation.engine.lists import A_FEW
from simulation.notifications.actions import NotificationActions
from simulation.notifications.model import NotificationModel, Reading
from simulation.notifications.strategies import SPOILT_PLACES, SPOILT_READINGS, readings, readings_beyond


class NotificationRules(NotificationActions):
    """Reading one's own notifications."""

    @move(agent=chosen(NotificationModel.names), limit=A_FEW)
    def read_all_notifications(self, agent: str, limit: int) -> None:
        """An agent, dormant or not, reads page by page what it was told."""
        self.an_agent_reads_all_notifications(agent, limit)

    @move(reading=chosen(readings), limit=st.sampled_from([1, 2, 100]))
    def read_notifications_from_a_number_on(self, reading: Reading, limit: int) -> None:
        """An agent reads on from anywhere; what it was told before that is left out."""
        self.an_agent_reads_notifications(reading.agent, reading.number, limit)

    @move(reading=chosen(readings))
    def mark_notifications_as_read(self, reading: Reading) -> None:
        """An agent says how far it has read; a smaller number than the last time takes nothing back."""
        self.an_agent_marks_as_read(reading)

    @forbidden_move(404, "notification_not_found", reading=chosen(readings_beyond))
    def mark_as_read_what_was_not_sent(self, reading: Reading) -> Answer:
        """Nobody has read what it was not told yet."""
        return self.mark_as_read(reading.agent, {"up_to": reading.number})

    @forbidden_move(422, "malformed_request", agent=chosen(NotificationModel.names), spoilt=any_of(SPOILT_READINGS))
    def mark_as_read_up_to_what_is_no_number(self, agent: str, spoilt: str) -> Answer:
        """A value that cannot be a notification's number is malformed, not unknown."""
        return self.mark_as_read(agent, SPOILT_READINGS[spoilt])

    @forbidden_move(
        422, "malformed_request", agent=chosen(NotificationModel.names), place=st.sampled_from(SPOILT_PLACES)
    )
    def read_notifications_from_what_is_no_number_on(self, agent: str, place: str) -> Answer:
        """A value that is no number is refused as a place in an inbox."""
        return self.send_as(agent, "GET", f"/notifications?after={place}")
