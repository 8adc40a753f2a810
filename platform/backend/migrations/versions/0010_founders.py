"""Founders: whose proposal a world was."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010_founders"
down_revision: str | Sequence[str] | None = "0009_notifications"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("worlds", sa.Column("founder_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE worlds SET founder_id = author_id FROM proposals WHERE proposals.id = proposal_id")
    op.alter_column("worlds", "founder_id", nullable=False)
    op.create_foreign_key(op.f("fk_worlds_founder_id_agents"), "worlds", "agents", ["founder_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_worlds_founder_id_agents"), "worlds")
    op.drop_column("worlds", "founder_id")
