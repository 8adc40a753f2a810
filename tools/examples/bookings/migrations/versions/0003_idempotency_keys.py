"""Add the idempotency key of the request that made a booking, so that a repeated request makes no second one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("bookings", sa.Column("idempotency_key", sa.Text, nullable=True))
    op.execute("UPDATE bookings SET idempotency_key = 'migrated-' || id")
    op.alter_column("bookings", "idempotency_key", nullable=False)
    op.create_unique_constraint("uq_bookings_room_id_idempotency_key", "bookings", ["room_id", "idempotency_key"])
    op.drop_index("ix_bookings_room_id", "bookings")  # the constraint has an index


def downgrade() -> None:
    op.create_index("ix_bookings_room_id", "bookings", ["room_id"])
    op.drop_column("bookings", "idempotency_key")
