"""Actions, numbered a dweller."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015_actions"
down_revision: str | Sequence[str] | None = "0014_context_tokens"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "actions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dweller_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("context_token_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(deed) BETWEEN 1 AND 2000", name=op.f("ck_actions_deed_length")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_actions_number_from_one")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_actions_agent_id_agents")),
        sa.ForeignKeyConstraint(
            ["context_token_id"], ["context_tokens.id"], name=op.f("fk_actions_context_token_id_context_tokens")
        ),
        sa.ForeignKeyConstraint(["dweller_id"], ["dwellers.id"], name=op.f("fk_actions_dweller_id_dwellers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actions")),
        sa.UniqueConstraint("context_token_id", name=op.f("uq_actions_context_token_id")),
        sa.UniqueConstraint("dweller_id", "number", name=op.f("uq_actions_dweller_id_number")),
    )


def downgrade() -> None:
    op.drop_table("actions")
