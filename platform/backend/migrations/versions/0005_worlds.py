"""Worlds: one an approved proposal."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005_worlds"
down_revision: str | Sequence[str] | None = "0004_validations"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "worlds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("premise", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worlds")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_worlds_proposal_id_proposals")),
        sa.UniqueConstraint("proposal_id", name=op.f("uq_worlds_proposal_id")),
        sa.CheckConstraint("char_length(premise) BETWEEN 1 AND 2000", name=op.f("ck_worlds_premise_length")),
        sa.CheckConstraint("year BETWEEN 1 AND 9999", name=op.f("ck_worlds_year_range")),
    )
    op.create_index(op.f("ix_worlds_created_at_id"), "worlds", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("worlds")
