"""Inboxes: how far each agent's notifications have come, one for every agent there is."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008_inboxes"
down_revision: str | Sequence[str] | None = "0007_revisions"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "inboxes",
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("read_up_to", sa.Integer(), nullable=False),
        sa.CheckConstraint("read_up_to BETWEEN 0 AND last_number", name=op.f("ck_inboxes_read_what_was_sent")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_inboxes_agent_id_agents")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_inboxes")),
    )
    op.execute("INSERT INTO inboxes (agent_id, last_number, read_up_to) SELECT id, 0, 0 FROM agents")


def downgrade() -> None:
    op.drop_table("inboxes")
