"""Requests that were sent with an Idempotency-Key, and their answers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020_idempotent_requests"
down_revision: str | Sequence[str] | None = "0019_upvotes"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "idempotent_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("key_sha256", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sealed_answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("key_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_idempotent_requests_key_sha256_format")),
        sa.CheckConstraint(
            "request_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_idempotent_requests_request_sha256_format")
        ),
        sa.CheckConstraint(
            "(status IS NULL) = (sealed_answer IS NULL)", name=op.f("ck_idempotent_requests_answered_whole")
        ),
        sa.CheckConstraint("status BETWEEN 200 AND 499", name=op.f("ck_idempotent_requests_status_range")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_idempotent_requests_agent_id_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_requests")),
        sa.UniqueConstraint(
            "agent_id",
            "key_sha256",
            name=op.f("uq_idempotent_requests_agent_id_key_sha256"),
            postgresql_nulls_not_distinct=True,
        ),
    )


def downgrade() -> None:
    op.drop_table("idempotent_requests")
