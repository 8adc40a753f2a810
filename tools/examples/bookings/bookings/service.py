"""Booking of rooms: requests for a room are serialized, and a repeated request makes no second booking."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bookings.models import Booking, Room


class NoSuchRoomError(Exception):
    """There is no room of this id."""


class RoomIsTakenError(Exception):
    """The room is booked for a part of the time."""


class KeyWasUsedError(Exception):
    """The idempotency key belongs to another request."""


def book(
    session: Session, *, room_id: int, guest: str, begins_at: datetime, ends_at: datetime, idempotency_key: str
) -> Booking:
    """Book the room and commit. A repeated request returns the booking of the first.

    Raises: NoSuchRoomError, RoomIsTakenError, KeyWasUsedError.
    """
    if lock_room(session, room_id) is None:
        raise NoSuchRoomError
    earlier = made_by_key(session, room_id, idempotency_key)
    if earlier is not None:
        if (earlier.guest, earlier.begins_at, earlier.ends_at) != (guest, begins_at, ends_at):
            raise KeyWasUsedError
        return earlier
    if is_taken(session, room_id, begins_at, ends_at):
        raise RoomIsTakenError
    booking = Booking(
        room_id=room_id, guest=guest, begins_at=begins_at, ends_at=ends_at, idempotency_key=idempotency_key
    )
    session.add(booking)
    session.commit()
    return booking


def lock_room(session: Session, room_id: int) -> Room | None:
    """Return the room, locked against other bookings until this transaction ends."""
    return session.scalar(select(Room).where(Room.id == room_id).with_for_update())


def made_by_key(session: Session, room_id: int, idempotency_key: str) -> Booking | None:
    """Return the booking that an earlier request with this key has made."""
    return session.scalar(select(Booking).where(Booking.room_id == room_id, Booking.idempotency_key == idempotency_key))


def is_taken(session: Session, room_id: int, begins_at: datetime, ends_at: datetime) -> bool:
    """Tell whether a booking overlaps the time. The answer holds as long as the room is locked."""
    overlapping = select(Booking.id).where(
        Booking.room_id == room_id, ~Booking.is_cancelled, Booking.begins_at < ends_at, Booking.ends_at > begins_at
    )
    return session.scalar(overlapping.limit(1)) is not None


def cancel(session: Session, booking_id: int) -> Booking | None:
    """Cancel a booking, if it is not cancelled already, and commit."""
    booking = session.get(Booking, booking_id)
    if booking is not None:
        booking.is_cancelled = True
        session.commit()
    return booking


def bookings_of(session: Session, room_id: int) -> list[Booking]:
    """Return the bookings of a room that are not cancelled, the earliest first."""
    wanted = select(Booking).where(Booking.room_id == room_id, ~Booking.is_cancelled)
    return list(session.scalars(wanted.order_by(Booking.begins_at)))
