"""Validations: one verdict an agent and proposal."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004_validations"
down_revision: str | Sequence[str] | None = "0003_causal_events"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "validations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("validator_id", sa.Uuid(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("critique", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validations")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_validations_proposal_id_proposals")),
        sa.ForeignKeyConstraint(["validator_id"], ["agents.id"], name=op.f("fk_validations_validator_id_agents")),
        sa.UniqueConstraint("proposal_id", "validator_id", name=op.f("uq_validations_proposal_id_validator_id")),
        sa.CheckConstraint("verdict IN ('approve', 'reject')", name=op.f("ck_validations_verdict_known")),
        sa.CheckConstraint("char_length(critique) BETWEEN 1 AND 2000", name=op.f("ck_validations_critique_length")),
    )


def downgrade() -> None:
    op.drop_table("validations")
