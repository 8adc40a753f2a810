"""The application on a test's database, and the requests of its clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bookings.database import get_engine
from bookings.main import app
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine

DAY = datetime(2026, 1, 1, tzinfo=UTC)
MOST_TRIES = 30


@dataclass(frozen=True)
class Wish:
    """A request for a booking: a room from one hour of the day to another, and the key for retries."""

    room_id: int
    guest: str
    begin: int
    end: int
    key: str

    def overlaps(self, other: "Wish") -> bool:
        """Tell whether both are for the same room and overlapping times."""
        return self.room_id == other.room_id and self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class Backend:
    """The running application, and the engine that it uses."""

    client: TestClient
    engine: Engine

    def add_room(self, name: str) -> int:
        """Add a room and return its id."""
        return int(self.client.post("/rooms", json={"name": name}).json()["id"])

    def book(self, wish: Wish) -> Any:
        """Send the wish once, and return the answer."""
        begins_at, ends_at = (DAY + timedelta(hours=hour) for hour in (wish.begin, wish.end))
        return self.client.post(
            f"/rooms/{wish.room_id}/bookings",
            json={"guest": wish.guest, "begins_at": begins_at.isoformat(), "ends_at": ends_at.isoformat()},
            headers={"Idempotency-Key": wish.key},
        )

    def book_until_answered(self, wish: Wish) -> Any:
        """Send the wish, retry after 503, and return the last answer."""
        for _ in range(MOST_TRIES):
            answer = self.book(wish)
            if answer.status_code != 503:
                return answer
        raise AssertionError(f"None of {MOST_TRIES} tries was answered.")

    def guests(self, room: int) -> list[str]:
        """Return the guests with bookings of the room, the earliest first."""
        return [one["guest"] for one in self.client.get(f"/rooms/{room}/bookings").json()]


@contextmanager
def serving(url: str) -> Iterator[Backend]:
    """Run the application on the database at the URL."""
    engine = create_engine(url)
    app.dependency_overrides[get_engine] = lambda: engine
    try:
        with TestClient(app) as client:
            yield Backend(client, engine)
    finally:
        app.dependency_overrides.clear()
        engine.dispose()
