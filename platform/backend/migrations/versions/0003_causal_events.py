"""Causal events: the chain that leads to a proposal's year."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003_causal_events"
down_revision: str | Sequence[str] | None = "0002_proposals"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "causal_events",
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("proposal_id", "position", name=op.f("pk_causal_events")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_causal_events_proposal_id_proposals")),
        sa.CheckConstraint("position >= 1", name=op.f("ck_causal_events_position_from_one")),
        sa.CheckConstraint("year BETWEEN 1 AND 9999", name=op.f("ck_causal_events_year_range")),
        sa.CheckConstraint(
            "char_length(description) BETWEEN 1 AND 500", name=op.f("ck_causal_events_description_length")
        ),
    )


def downgrade() -> None:
    op.drop_table("causal_events")
