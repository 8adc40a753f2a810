"""One client, one request after another."""

from tests.client import Backend, Wish


def test_a_free_room_is_booked_and_listed(backend: Backend) -> None:
    room = backend.add_room("blue")
    assert 201 == backend.book(Wish(room, "ada", 9, 11, "first")).status_code
    [listed] = backend.client.get(f"/rooms/{room}/bookings").json()
    assert ("ada", "2026-01-01T09:00:00Z") == (listed["guest"], listed["begins_at"])


def test_a_taken_room_is_refused_until_it_is_cancelled(backend: Backend) -> None:
    room = backend.add_room("blue")
    booking = backend.book(Wish(room, "ada", 9, 11, "first")).json()
    assert 409 == backend.book(Wish(room, "bob", 10, 12, "second")).status_code
    assert 201 == backend.book(Wish(room, "bob", 11, 12, "third")).status_code  # it begins when ada's has ended
    assert 200 == backend.client.delete(f"/bookings/{booking['id']}").status_code
    assert 201 == backend.book(Wish(room, "cyd", 9, 11, "fourth")).status_code


def test_the_same_request_again_makes_no_other_booking(backend: Backend) -> None:
    room = backend.add_room("blue")
    first, again = (backend.book(Wish(room, "ada", 9, 11, "first")) for _ in range(2))
    assert (201, first.json()) == (again.status_code, again.json())
    assert 422 == backend.book(Wish(room, "ada", 9, 10, "first")).status_code


def test_what_is_not_there_or_in_order_is_refused(backend: Backend) -> None:
    room = backend.add_room("blue")
    assert 404 == backend.book(Wish(room + 1, "ada", 9, 11, "first")).status_code
    assert 422 == backend.book(Wish(room, "ada", 11, 9, "first")).status_code
    assert 404 == backend.client.delete("/bookings/1").status_code
    assert 409 == backend.client.post("/rooms", json={"name": "blue"}).status_code
