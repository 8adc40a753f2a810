"""deepsci.pagination, at the agents, of whom several may be made in one instant."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from deepsci.errors import ApiError
from deepsci.models import Agent, Notification, NotificationKind
from deepsci.notifications.sending import notify
from deepsci.pagination import decoded, encoded, newest_page, numbered_page
from fastapi.testclient import TestClient
from pgdst import SimulatedClock
from pgdst.simulation.clients.clock import START
from sqlalchemy import select, text
from sqlalchemy.orm import Session

SOME_ID = UUID(int=7)
Register = Callable[[str], Agent]


def newest_first(agents: list[Agent]) -> list[Agent]:
    """Return the agents in the order of lists."""
    return sorted(agents, key=lambda agent: (agent.created_at, agent.id), reverse=True)


def pages(session: Session, limit: int, between: Callable[[], object] = lambda: None) -> list[list[Agent]]:
    """Return all agents page by page; something happens before each next one."""
    read: list[list[Agent]] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = newest_page(session, select(Agent), cursor, limit)
        read.append(list(page))
        assert len(read) < 50, "the list has no end"
        between()
    return read


@pytest.mark.parametrize(("limit", "lengths"), [(1, [1] * 6), (4, [4, 2]), (5, [5, 1]), (6, [6]), (7, [6])])
def test_every_row_is_on_one_page(
    session: Session, register: Register, clock: SimulatedClock, limit: int, lengths: list[int]
) -> None:
    """Ties are in the order of their ids, also across pages; a page that ends the list has no next one."""
    agents = []
    for n in range(6):
        agents.append(register(f"agent{n}"))
        if n == 3:
            clock.advance(timedelta(microseconds=1))
    read = pages(session, limit)
    assert lengths == [len(page) for page in read]
    assert newest_first(agents) == [agent for page in read for agent in page]


def test_an_empty_list_is_one_empty_page(session: Session) -> None:
    """And the last one."""
    assert ([], None) == newest_page(session, select(Agent), "", 10)


@pytest.mark.parametrize("passing", [timedelta(), timedelta(seconds=1)])
def test_what_is_added_between_two_pages_moves_nothing(
    session: Session, register: Register, clock: SimulatedClock, passing: timedelta
) -> None:
    """No row comes twice and none is left out; what is added in the same instant may or may not be among them."""
    before = [register(f"agent{n}") for n in range(5)]
    names = iter(f"later{n}" for n in range(50))

    def more() -> None:
        clock.advance(passing)
        register(next(names)), register(next(names))

    read = [agent for page in pages(session, 2, more) for agent in page]
    assert len(set(read)) == len(read)
    assert newest_first(before) == [agent for agent in read if agent in before]
    assert read == newest_first(read)


def test_a_list_in_another_zone_has_the_same_cursors(session: Session, register: Register) -> None:
    """Whatever zone the server's administrator likes."""
    register("ada"), register("bob")
    _page, expected = newest_page(session, select(Agent), "", 1)
    session.execute(text("SET LOCAL TIME ZONE 'Asia/Kathmandu'"))
    session.expunge_all()
    (first,), cursor = newest_page(session, select(Agent), "", 1)
    assert first.created_at.utcoffset() == timedelta(hours=5, minutes=45)
    assert expected == cursor
    assert cursor is not None
    assert len(newest_page(session, select(Agent), cursor, 1)[0]) == 1


def test_a_cursor_can_be_sent_as_it_was_given() -> None:
    """It has only characters that mean nothing in a query, is short enough, and comes back as it went."""
    for moment in (START, START + timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)):
        cursor = encoded(moment, SOME_ID)
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert len(cursor) <= 100
        assert (moment, SOME_ID) == decoded(cursor)


def spelled(content: str | bytes) -> str:
    """Return what looks like a cursor."""
    return urlsafe_b64encode(content.encode() if isinstance(content, str) else content).decode().rstrip("=")


BAD_CURSORS = [
    " ",
    "x",
    "\x00",
    "é",
    "=",
    "====",
    "A" * 99,
    spelled(b"\xff\xfe"),
    spelled("\x00"),
    spelled(" "),
    spelled(f"{START.isoformat()}"),
    spelled(f"{START.isoformat()} "),
    spelled(f" {SOME_ID}"),
    spelled(f"{START.isoformat()} {SOME_ID} "),
    spelled(f"{START.isoformat()} {SOME_ID.hex}"),
    spelled(f"{START.isoformat()} {str(SOME_ID).replace('7', 'x')}"),
    spelled(f"{START.replace(tzinfo=None).isoformat()} {SOME_ID}"),
    spelled(f"{START.isoformat().replace('2026', '0000')} {SOME_ID}"),
    spelled(f"{START.isoformat().replace('2026', '12026')} {SOME_ID}"),
    spelled(f"{START.isoformat().replace('2026', '99999999999')} {SOME_ID}"),
    spelled(f"{START.astimezone(timezone(timedelta(hours=1))).isoformat()} {SOME_ID}"),
    spelled(f"{datetime.min.isoformat()}+14:00 {SOME_ID}"),
    spelled(f"{datetime.max.isoformat()}-14:00 {SOME_ID}"),
    spelled(f"{START.isoformat()}\x00 {SOME_ID}"),
    "\x00" + encoded(START, SOME_ID),
    encoded(START, SOME_ID) + "=",
    encoded(START, SOME_ID) + "\n",
]


@pytest.mark.parametrize("cursor", BAD_CURSORS, ids=ascii)
def test_what_no_list_has_given_is_no_cursor(session: Session, client: TestClient, cursor: str) -> None:
    """Refused before the database sees it, and never a failure."""
    with pytest.raises(ApiError, match=r"^malformed_request"):
        newest_page(session, select(Agent), cursor, 1)
    answer = client.get("/agents", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_request")


def test_a_cursor_of_the_first_and_of_the_last_year_is_good(client: TestClient) -> None:
    """Before and after all there is."""
    client.post("/agents", json={"username": "ada"})
    for moment, found in ((datetime.min, 0), (datetime.max, 1)):
        cursor = encoded(moment.replace(tzinfo=UTC), SOME_ID)
        assert found == len(client.get("/agents", params={"cursor": cursor}).json()["agents"])


def test_a_bad_cursor_is_said_before_what_is_not_there(client: TestClient) -> None:
    """It is malformed, whatever the path names."""
    answer = client.get(f"/worlds/{SOME_ID}/regions?cursor=x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_request")


def test_numbered_rows_are_read_in_order_after_a_number(session: Session, register: Register) -> None:
    """A page that ends the list has no next one."""
    ada = register("ada")
    for n in range(3):
        notify(session, ada.id, NotificationKind.STORY_REVIEWED, UUID(int=n), START)
    query = select(Notification)
    seen = [
        ([row.number for row in page], after)
        for page, after in (
            numbered_page(session, query, 0, 2),
            numbered_page(session, query, 2, 2),
            numbered_page(session, query, 0, 3),
            numbered_page(session, query, 3, 1),
            numbered_page(session, query, 2**31 - 1, 1),
        )
    ]
    assert [([1, 2], 2), ([3], None), ([1, 2, 3], None), ([], None), ([], None)] == seen
