"""Rooms and their bookings."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Identity, MetaData, Text, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
}


class Base(DeclarativeBase):
    """All tables, with text and aware times."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Text(), datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own


class Room(Base):
    """A room with a name of its own."""

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Booking(Base):
    """A room for a guest, from begins_at up to but without ends_at."""

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("begins_at < ends_at", name="begins_before_it_ends"),
        UniqueConstraint("room_id", "idempotency_key"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"))
    guest: Mapped[str]
    begins_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    is_cancelled: Mapped[bool] = mapped_column(server_default=false())
    idempotency_key: Mapped[str]
