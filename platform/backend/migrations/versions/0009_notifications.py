"""Notifications, numbered an agent."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009_notifications"
down_revision: str | Sequence[str] | None = "0008_inboxes"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('proposal_validated', 'story_reviewed', 'review_answered', 'claim_lapsed')",
            name=op.f("ck_notifications_kind_known"),
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_notifications_number_from_one")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_notifications_agent_id_agents")),
        sa.PrimaryKeyConstraint("agent_id", "number", name=op.f("pk_notifications")),
        sa.UniqueConstraint("kind", "subject_id", name=op.f("uq_notifications_kind_subject_id")),
    )


def downgrade() -> None:
    op.drop_table("notifications")
