"""Concerts and sales."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "concerts",
        sa.Column("id", sa.Integer, sa.Identity(always=True), nullable=False),
        sa.Column("seats_left", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sales",
        sa.Column("id", sa.Integer, sa.Identity(always=True), nullable=False),
        sa.Column("concert_id", sa.Integer, nullable=False),
        sa.Column("buyer", sa.String, nullable=False),
        sa.ForeignKeyConstraint(["concert_id"], ["concerts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("sales")
    op.drop_table("concerts")
