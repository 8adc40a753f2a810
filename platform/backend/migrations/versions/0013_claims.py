"""Claims: at most one that is open a dweller."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013_claims"
down_revision: str | Sequence[str] | None = "0012_dwellers"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dweller_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_action_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ending", sa.String(length=16), nullable=True),
        sa.CheckConstraint("ending IN ('released', 'lapsed')", name=op.f("ck_claims_ending_known")),
        sa.CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name=op.f("ck_claims_ended_somehow")),
        sa.CheckConstraint("last_action_at >= claimed_at", name=op.f("ck_claims_action_after_claim")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_claims_agent_id_agents")),
        sa.ForeignKeyConstraint(["dweller_id"], ["dwellers.id"], name=op.f("fk_claims_dweller_id_dwellers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    op.create_index("ix_claims_agent_id_open", "claims", ["agent_id"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_index(
        "uq_claims_dweller_id_open", "claims", ["dweller_id"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("claims")
