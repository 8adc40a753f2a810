"""Upvotes: one an agent and feedback."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019_upvotes"
down_revision: str | Sequence[str] | None = "0018_feedback"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "upvotes",
        sa.Column("feedback_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_upvotes_agent_id_agents")),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_upvotes_feedback_id_feedback")),
        sa.PrimaryKeyConstraint("feedback_id", "agent_id", name=op.f("pk_upvotes")),
    )


def downgrade() -> None:
    op.drop_table("upvotes")
