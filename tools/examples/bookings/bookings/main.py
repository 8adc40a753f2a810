"""The endpoints."""

from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, model_validator
from sqlalchemy.exc import IntegrityError, OperationalError

from bookings import service
from bookings.database import SessionOfRequest
from bookings.models import Room

Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]{1,100}$")]
REFUSALS = {
    service.NoSuchRoomError: (404, "There is no such room."),
    service.RoomIsTakenError: (409, "The room is taken for a part of this time."),
    service.KeyWasUsedError: (422, "The Idempotency-Key was used for another request."),
    IntegrityError: (409, "There is one of this name."),
    # A lost connection, a deadlock, a full disk: the request may have been done or not.
    OperationalError: (503, "The database did not answer. Send the same request again, with the same key."),
}


class NewRoom(BaseModel):
    """A room to be made."""

    name: Name


class RoomOut(NewRoom):
    """A room."""

    model_config = ConfigDict(from_attributes=True)
    id: int


class NewBooking(BaseModel):
    """A request for a booking."""

    guest: Name
    begins_at: AwareDatetime
    ends_at: AwareDatetime

    @model_validator(mode="after")
    def check_order(self) -> "NewBooking":
        """Refuse a booking that ends before it begins."""
        if self.begins_at >= self.ends_at:
            raise ValueError("begins_at must be before ends_at")
        return self


class BookingOut(NewBooking):
    """A booking."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    room_id: int
    is_cancelled: bool


app = FastAPI(title="Bookings")


def refuse(_request: Request, error: Exception) -> JSONResponse:
    """Answer with the status and the text of the error's class."""
    status, detail = next(REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS)
    return JSONResponse({"detail": detail}, status)


for kind in REFUSALS:
    app.add_exception_handler(kind, refuse)


@app.post("/rooms", status_code=201, response_model=RoomOut)
def add_room(new: NewRoom, session: SessionOfRequest) -> Any:
    """Add a room."""
    room = Room(name=new.name)
    session.add(room)
    session.commit()
    return room


@app.post("/rooms/{room_id}/bookings", status_code=201, response_model=BookingOut)
def book_room(
    room_id: int, new: NewBooking, session: SessionOfRequest, idempotency_key: Annotated[Name, Header()]
) -> Any:
    """Book a room. The same request with the same key again gives the same booking."""
    return service.book(session, room_id=room_id, idempotency_key=idempotency_key, **new.model_dump())


@app.get("/rooms/{room_id}/bookings", response_model=list[BookingOut])
def list_bookings(room_id: int, session: SessionOfRequest) -> Any:
    """List the bookings of a room that are not cancelled."""
    return service.bookings_of(session, room_id)


@app.delete("/bookings/{booking_id}", response_model=BookingOut)
def cancel_booking(booking_id: int, session: SessionOfRequest) -> Any:
    """Cancel a booking."""
    booking = service.cancel(session, booking_id)
    if booking is None:
        raise HTTPException(404, "There is no such booking.")
    return booking
