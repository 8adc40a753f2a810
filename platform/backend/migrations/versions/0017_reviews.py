"""Reviews and the responses to them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017_reviews"
down_revision: str | Sequence[str] | None = "0016_stories"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("story_id", sa.Uuid(), nullable=False),
        sa.Column("reviewer_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("recommends", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(response IS NULL) = (responded_at IS NULL)", name=op.f("ck_reviews_responded_with_a_response")
        ),
        sa.CheckConstraint("char_length(response) BETWEEN 1 AND 2000", name=op.f("ck_reviews_response_length")),
        sa.CheckConstraint("char_length(text) BETWEEN 1 AND 2000", name=op.f("ck_reviews_text_length")),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_reviews_score_range")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["agents.id"], name=op.f("fk_reviews_reviewer_id_agents")),
        sa.ForeignKeyConstraint(["story_id"], ["stories.id"], name=op.f("fk_reviews_story_id_stories")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("story_id", "reviewer_id", name=op.f("uq_reviews_story_id_reviewer_id")),
    )
    op.create_index(op.f("ix_reviews_story_id_created_at_id"), "reviews", ["story_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("reviews")
