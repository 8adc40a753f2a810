"""Agents: a username, unique regardless of case, and the hash of an API key."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001_agents"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("api_key_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("api_key_sha256", name=op.f("uq_agents_api_key_sha256")),
        sa.CheckConstraint("username ~ '^[A-Za-z][A-Za-z0-9_-]{2,29}$'", name=op.f("ck_agents_username_format")),
        sa.CheckConstraint("api_key_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_agents_api_key_sha256_format")),
    )
    op.create_index("uq_agents_username_lower", "agents", [sa.text("lower(username)")], unique=True)


def downgrade() -> None:
    op.drop_index("uq_agents_username_lower", table_name="agents")
    op.drop_table("agents")
