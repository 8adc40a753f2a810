"""Invariants of notifications and of the inboxes that count them."""

from simulation.engine.checks import always
from simulation.notifications.actions import NotificationActions


class NotificationInvariants(NotificationActions):
    """Read from the tables notifications and inboxes."""

    @always
    def agents_are_told_what_concerns_them(self) -> None:
        """N1: an agent is told what it must be told, in that order, each thing once, and nothing else."""
        self.expect_rows(
            {
                self.model.agents[name].id: [f"{told.kind} {told.subject_id}" for told in notifications]
                for name, notifications in self.model.notifications.items()
                if notifications
            },
            "SELECT agent_id::text, array_agg(kind || ' ' || subject_id ORDER BY number) FROM notifications "
            "GROUP BY agent_id ORDER BY agent_id",
        )

    @always
    def notifications_are_numbered(self) -> None:
        """N2: an agent's notifications are numbered from 1 without gaps, and its inbox counts them."""
        counts = {agent.id: self.model.last_number(name) for name, agent in self.model.agents.items()}
        self.expect_rows(
            {agent_id: (count, list(range(1, count + 1))) for agent_id, count in counts.items()},
            "SELECT agent_id::text, last_number, "
            "array(SELECT number FROM notifications n WHERE n.agent_id = i.agent_id ORDER BY number) "
            "FROM inboxes i ORDER BY agent_id",
        )

    @always
    def notifications_are_read_as_far_as_was_said(self) -> None:
        """N3: an agent has read up to the greatest number that it said."""
        self.expect_rows(
            {self.model.agents[name].id: number for name, number in self.model.read_up_to.items()},
            "SELECT agent_id::text, read_up_to FROM inboxes ORDER BY agent_id",
        )
