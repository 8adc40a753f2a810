"""Context tokens: the first step of an action."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014_context_tokens"
down_revision: str | Sequence[str] | None = "0013_claims"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "context_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("token_sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_context_tokens_token_sha256_format")),
        sa.CheckConstraint("spent_at >= issued_at", name=op.f("ck_context_tokens_spent_after_issued")),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_context_tokens_claim_id_claims")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_context_tokens")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_context_tokens_token_sha256")),
    )


def downgrade() -> None:
    op.drop_table("context_tokens")
