"""Bookings of a room for a time."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "bookings",
        sa.Column("id", sa.Integer, sa.Identity(always=True), nullable=False),
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("guest", sa.Text, nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_cancelled", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bookings"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_bookings_room_id_rooms"),
        sa.CheckConstraint("begins_at < ends_at", name="ck_bookings_begins_before_it_ends"),
    )
    op.create_index("ix_bookings_room_id", "bookings", ["room_id"])


def downgrade() -> None:
    op.drop_table("bookings")
