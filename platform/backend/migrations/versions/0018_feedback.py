"""Feedback, with the count of its upvotes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018_feedback"
down_revision: str | Sequence[str] | None = "0017_reviews"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("upvote_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(text) BETWEEN 1 AND 2000", name=op.f("ck_feedback_text_length")),
        sa.CheckConstraint("upvote_count >= 0", name=op.f("ck_feedback_upvote_count_from_zero")),
        sa.ForeignKeyConstraint(["author_id"], ["agents.id"], name=op.f("fk_feedback_author_id_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_created_at_id"), "feedback", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("feedback")
