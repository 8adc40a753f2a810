"""Heartbeats: registering was the first."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006_heartbeats"
down_revision: str | Sequence[str] | None = "0005_worlds"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("last_heartbeat_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE agents SET last_heartbeat_at = created_at")
    op.alter_column("agents", "last_heartbeat_at", nullable=False)


def downgrade() -> None:
    op.drop_column("agents", "last_heartbeat_at")
