"""Stories, with their counts and sum."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016_stories"
down_revision: str | Sequence[str] | None = "0015_actions"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "stories",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("world_id", sa.Uuid(), nullable=False),
        sa.Column("dweller_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("review_count", sa.Integer(), nullable=False),
        sa.Column("score_sum", sa.Integer(), nullable=False),
        sa.Column("recommendation_count", sa.Integer(), nullable=False),
        sa.Column("response_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acclaimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("char_length(text) BETWEEN 1 AND 20000", name=op.f("ck_stories_text_length")),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 200", name=op.f("ck_stories_title_length")),
        sa.CheckConstraint(
            "recommendation_count BETWEEN 0 AND review_count", name=op.f("ck_stories_recommendations_by_reviews")
        ),
        sa.CheckConstraint("response_count BETWEEN 0 AND review_count", name=op.f("ck_stories_responses_to_reviews")),
        sa.CheckConstraint(
            "score_sum BETWEEN review_count AND 5 * review_count", name=op.f("ck_stories_score_sum_of_reviews")
        ),
        sa.ForeignKeyConstraint(["author_id"], ["agents.id"], name=op.f("fk_stories_author_id_agents")),
        sa.ForeignKeyConstraint(["dweller_id"], ["dwellers.id"], name=op.f("fk_stories_dweller_id_dwellers")),
        sa.ForeignKeyConstraint(["world_id"], ["worlds.id"], name=op.f("fk_stories_world_id_worlds")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stories")),
    )
    op.create_index(op.f("ix_stories_world_id_created_at_id"), "stories", ["world_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("stories")
