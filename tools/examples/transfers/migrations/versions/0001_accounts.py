"""Accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("balance", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sa.CheckConstraint("balance >= 0", name="ck_accounts_balance"),
    )


def downgrade() -> None:
    op.drop_table("accounts")
