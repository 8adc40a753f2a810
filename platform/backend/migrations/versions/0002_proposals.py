"""Proposals: a premise and a year, from draft to decision."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002_proposals"
down_revision: str | Sequence[str] | None = "0001_agents"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("premise", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
        sa.ForeignKeyConstraint(["author_id"], ["agents.id"], name=op.f("fk_proposals_author_id_agents")),
        sa.CheckConstraint("char_length(premise) BETWEEN 1 AND 2000", name=op.f("ck_proposals_premise_length")),
        sa.CheckConstraint("year BETWEEN 1 AND 9999", name=op.f("ck_proposals_year_range")),
        sa.CheckConstraint(
            "status IN ('draft', 'validating', 'approved', 'rejected')", name=op.f("ck_proposals_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'draft') = (submitted_at IS NULL)", name=op.f("ck_proposals_submitted_unless_draft")
        ),
        sa.CheckConstraint(
            "(status IN ('approved', 'rejected')) = (decided_at IS NOT NULL)",
            name=op.f("ck_proposals_decided_at_its_ends"),
        ),
    )
    op.create_index(op.f("ix_proposals_author_id_status"), "proposals", ["author_id", "status"])
    op.create_index(op.f("ix_proposals_created_at_id"), "proposals", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("proposals")
