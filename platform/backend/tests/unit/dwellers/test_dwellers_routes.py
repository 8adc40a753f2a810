"""deepsci.dwellers.routes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from deepsci.models import Action, Claim, Notification
from fastapi.testclient import TestClient
from pgdst import SimulatedClock
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session

NOTHING = "00000000-0000-0000-0000-000000000000"
FUTURE: dict[str, Any] = {
    "premise": "Cities float.",
    "year": 2200,
    "chain": [{"year": 2100 + n, "description": f"Step {n}."} for n in range(3)],
}

Keys = dict[str, dict[str, str]]


@pytest.fixture
def keys(client: TestClient) -> Keys:
    """The headers of four agents, by name."""
    return {
        name: {"X-API-Key": client.post("/agents", json={"username": name}).json()["api_key"]}
        for name in ("ada", "bob", "cyd", "dee")
    }


@pytest.fixture
def world_id(client: TestClient, keys: Keys) -> str:
    """A world that ada founded."""
    proposal_id = client.post("/proposals", json=FUTURE, headers=keys["ada"]).json()["id"]
    client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"])
    vote = {"verdict": "approve", "critique": "Well."}
    votes = [
        client.post(f"/proposals/{proposal_id}/validations", json=vote, headers=keys[name]) for name in ("bob", "cyd")
    ]
    founded: str = votes[-1].json()["world_id"]
    return founded


@pytest.fixture
def region_id(client: TestClient, keys: Keys, world_id: str) -> str:
    """A region of it."""
    region = {"name": "Delta", "description": "Wet."}
    added: str = client.post(f"/worlds/{world_id}/regions", json=region, headers=keys["ada"]).json()["id"]
    return added


@pytest.fixture
def add(client: TestClient, keys: Keys, world_id: str, region_id: str) -> Callable[..., Any]:
    """Adds a dweller to the region, and gives the answer."""

    def add(name: str = "Ines", who: str = "ada", **change: Any) -> Any:
        body = {"region_id": region_id, "name": name, "persona": "A pilot."} | change
        return client.post(f"/worlds/{world_id}/dwellers", json=body, headers=keys[who])

    return add


@pytest.fixture
def dweller_id(add: Callable[..., Any]) -> str:
    """A dweller whom nobody holds."""
    added: str = add().json()["id"]
    return added


@pytest.fixture
def do(client: TestClient, keys: Keys) -> Callable[..., Any]:
    """Does one of the things that are done to a dweller, and gives the answer."""

    def do(who: str, what: str, dweller_id: str, **options: Any) -> Any:
        headers = keys[who] | options.pop("headers", {})
        return client.post(f"/dwellers/{dweller_id}/{what}", headers=headers, **options)

    return do


@pytest.fixture
def act(do: Callable[..., Any]) -> Callable[..., Any]:
    """Asks for the context and acts, and gives the answer of the second step."""

    def act(who: str, dweller_id: str, deed: str = "Sails.") -> Any:
        token = do(who, "context", dweller_id).json()["context_token"]
        return do(who, "actions", dweller_id, json={"context_token": token, "deed": deed})

    return act


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Collect what is sent to the database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_dweller_from_its_creation_to_its_release(
    client: TestClient, keys: Keys, clock: SimulatedClock, world_id: str, region_id: str, do: Any, add: Any
) -> None:
    """The whole story, as anyone reads it."""
    bob = client.get("/agents/me", headers=keys["bob"]).json()["id"]
    added = add()
    assert added.status_code == 201
    dweller = added.json()
    assert dweller == {
        "id": dweller["id"],
        "world_id": world_id,
        "region_id": region_id,
        "name": "Ines",
        "persona": "A pilot.",
        "action_count": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "holder_id": None,
        "claim_lapses_at": None,
    }
    clock.advance(timedelta(hours=1))
    claimed = do("bob", "claim", dweller["id"])
    held = dweller | {"holder_id": bob, "claim_lapses_at": "2026-01-02T01:00:00Z"}
    assert (201, held) == (claimed.status_code, claimed.json())
    clock.advance(timedelta(hours=1))
    seen = do("bob", "context", dweller["id"])
    token = seen.json()["context_token"]
    assert 201 == seen.status_code
    assert seen.json() == {
        "context_token": token,
        "expires_at": "2026-01-01T02:10:00Z",
        "dweller": held,
        "world": client.get(f"/worlds/{world_id}").json(),
        "recent_actions": [],
    }
    acted = do("bob", "actions", dweller["id"], json={"context_token": token, "deed": "Sails."})
    action = acted.json()
    assert 201 == acted.status_code
    assert action == {
        "id": action["id"],
        "dweller_id": dweller["id"],
        "agent_id": bob,
        "number": 1,
        "deed": "Sails.",
        "created_at": "2026-01-01T02:00:00Z",
    }
    assert [action] == do("bob", "context", dweller["id"]).json()["recent_actions"]
    held |= {"action_count": 1, "claim_lapses_at": "2026-01-02T02:00:00Z"}
    assert held == client.get(f"/dwellers/{dweller['id']}").json()
    assert {"dwellers": [held], "next_cursor": None} == client.get(f"/worlds/{world_id}/dwellers").json()
    assert {"actions": [action], "next_after": None} == client.get(f"/dwellers/{dweller['id']}/actions").json()
    released = do("bob", "release", dweller["id"])
    assert (200, dweller | {"action_count": 1}) == (released.status_code, released.json())


def test_what_one_may_not_do(client: TestClient, keys: Keys, dweller_id: str, do: Any, add: Any) -> None:
    """Each refusal has its own code."""
    body = {"context_token": "x", "deed": "Sails."}
    assert code(add("Ines")) == (409, "dweller_name_taken")
    assert code(add("Juri", who="bob")) == (403, "not_the_founder")
    assert code(add("Juri", region_id=NOTHING)) == (404, "region_not_found")
    elsewhere = client.post(
        f"/worlds/{NOTHING}/dwellers",
        json={"region_id": NOTHING, "name": "Juri", "persona": "A pilot."},
        headers=keys["ada"],
    )
    assert code(elsewhere) == (404, "world_not_found")
    for what, options in (("claim", {}), ("release", {}), ("context", {}), ("actions", {"json": body})):
        assert code(do("bob", what, NOTHING, **options)) == (404, "dweller_not_found")
    for what, options in (("release", {}), ("context", {}), ("actions", {"json": body})):
        assert code(do("bob", what, dweller_id, **options)) == (403, "not_the_holder")
    assert do("bob", "claim", dweller_id).status_code == 201
    assert code(do("bob", "claim", dweller_id)) == (409, "already_holding")
    assert code(do("cyd", "claim", dweller_id)) == (409, "dweller_held")
    assert code(do("bob", "actions", dweller_id, json=body)) == (409, "context_token_unknown")
    for path in (f"/dwellers/{NOTHING}", f"/dwellers/{NOTHING}/actions"):
        assert code(client.get(path)) == (404, "dweller_not_found")
    assert code(client.get(f"/worlds/{NOTHING}/dwellers")) == (404, "world_not_found")


def test_a_token_is_spent_and_expires(clock: SimulatedClock, dweller_id: str, do: Any) -> None:
    """With codes of their own."""
    do("bob", "claim", dweller_id)
    bodies = [
        {"context_token": do("bob", "context", dweller_id).json()["context_token"], "deed": "Sails."} for _ in range(2)
    ]
    assert do("bob", "actions", dweller_id, json=bodies[0]).status_code == 201
    assert code(do("bob", "actions", dweller_id, json=bodies[0])) == (409, "context_token_spent")
    clock.advance(timedelta(minutes=10))
    assert code(do("bob", "actions", dweller_id, json=bodies[1])) == (409, "context_token_expired")


def test_the_sixth_dweller_is_refused(do: Any, add: Any) -> None:
    """Whoever it is that has five."""
    dwellers = [add(f"Dweller {number}").json()["id"] for number in range(6)]
    answers = [do("bob", "claim", dweller_id) for dweller_id in dwellers]
    assert [201] * 5 + [409] == [answer.status_code for answer in answers]
    assert code(answers[-1]) == (409, "too_many_dwellers")
    assert do("cyd", "claim", dwellers[-1]).status_code == 201


def test_a_dormant_agent_neither_claims_nor_looks_nor_acts(
    client: TestClient, clock: SimulatedClock, do: Any, add: Any
) -> None:
    """But adds to its world, reads, and releases."""
    held, free = add("Ines").json()["id"], add("Juri").json()["id"]
    clock.advance(timedelta(days=6, hours=12))
    assert do("ada", "claim", held).status_code == 201
    clock.advance(timedelta(hours=12))
    body = {"context_token": "x", "deed": "Sails."}
    for what, dweller_id, options in (
        ("claim", free, {}),
        ("context", held, {}),
        ("actions", held, {"json": body}),
        ("claim", NOTHING, {}),
        ("context", NOTHING, {}),
        ("actions", NOTHING, {"json": body}),
    ):
        assert code(do("ada", what, dweller_id, **options)) == (403, "agent_dormant")
    assert add("Kano").status_code == 201
    assert client.get(f"/dwellers/{held}").status_code == 200
    assert do("ada", "release", held).status_code == 200


def test_a_lapsed_claim_is_shown_as_none(
    client: TestClient, clock: SimulatedClock, world_id: str, dweller_id: str, do: Any
) -> None:
    """From the instant of the lapse, wherever the dweller is shown, although nobody has settled it."""
    do("bob", "claim", dweller_id)
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))

    def shown() -> list[str | None]:
        listed = client.get(f"/worlds/{world_id}/dwellers").json()["dwellers"]
        return [
            dweller[key]
            for dweller in (client.get(f"/dwellers/{dweller_id}").json(), *listed)
            for key in ("holder_id", "claim_lapses_at")
        ]

    assert None not in shown()
    clock.advance(timedelta(microseconds=1))
    assert [None] * 4 == shown()


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one key of sixteen".replace(" ", "-")}], ids=["", "key"])
def test_a_refused_claim_settles_nothing(
    session: Session, clock: SimulatedClock, do: Any, add: Any, headers: dict[str, str]
) -> None:
    """Also where the refusal itself is kept."""
    lapsed, held = (add(name).json()["id"] for name in ("Ines", "Juri"))
    do("bob", "claim", lapsed)
    clock.advance(timedelta(hours=24))
    do("cyd", "claim", held)
    assert code(do("bob", "claim", held, headers=headers)) == (409, "dweller_held")
    assert session.scalars(select(Claim.ended_at).where(Claim.dweller_id == UUID(lapsed))).one() is None
    assert 0 == session.scalar(select(func.count()).where(Notification.kind == "claim_lapsed"))
    assert do("cyd", "claim", lapsed).status_code == 201
    assert 1 == session.scalar(select(func.count()).where(Notification.kind == "claim_lapsed"))


@pytest.mark.parametrize("what", ["claim", "release", "context", "actions"])
def test_each_thing_is_done_once_under_a_key(session: Session, dweller_id: str, do: Any, what: str) -> None:
    """The second answer is the first one, to the byte; without the key it would not be."""
    headers = {"Idempotency-Key": "one-key-of-twenty-characters"}
    options: dict[str, Any] = {}
    if what != "claim":
        do("bob", "claim", dweller_id)
    if what == "actions":
        token = do("bob", "context", dweller_id).json()["context_token"]
        options = {"json": {"context_token": token, "deed": "Sails."}}
    answers = [do("bob", what, dweller_id, headers=headers, **options) for _ in range(2)]
    assert answers[0].is_success
    assert (answers[0].status_code, answers[0].content) == (answers[1].status_code, answers[1].content)
    assert answers[0].content != do("bob", what, dweller_id, **options).content
    assert (1 if what == "actions" else 0) == session.scalar(select(func.count()).select_from(Action))


def test_adding_is_done_once_under_a_key(client: TestClient, keys: Keys, world_id: str, region_id: str) -> None:
    """The name is not taken by the dweller itself."""
    body = {"region_id": region_id, "name": "Ines", "persona": "A pilot."}
    headers = keys["ada"] | {"Idempotency-Key": "one-key-of-twenty-characters"}
    first, second = (client.post(f"/worlds/{world_id}/dwellers", json=body, headers=headers) for _ in range(2))
    assert (201, first.content) == (second.status_code, second.content)
    assert 1 == len(client.get(f"/worlds/{world_id}/dwellers").json()["dwellers"])


def test_a_list_asks_for_all_holders_at_once(
    client: TestClient, engine: Engine, world_id: str, do: Any, add: Any
) -> None:
    """As many statements for many dwellers as for one."""
    counts = []
    for number in range(5):
        do("bob", "claim", add(f"Dweller {number}").json()["id"])
        with statements(engine) as sent:
            listed = client.get(f"/worlds/{world_id}/dwellers").json()["dwellers"]
        assert number + 1 == len(listed)
        assert None not in [dweller["holder_id"] for dweller in listed]
        counts.append(len(sent))
    assert 1 == len(set(counts)), counts


def test_dwellers_are_listed_page_by_page(client: TestClient, clock: SimulatedClock, world_id: str, add: Any) -> None:
    """The newest first, and whoever comes in between is on neither page."""
    names = ["Ines", "Juri", "Kano"]
    for name in names:
        add(name)
        clock.advance(timedelta(seconds=1))
    first = client.get(f"/worlds/{world_id}/dwellers?limit=2").json()
    add("Lena")
    second = client.get(f"/worlds/{world_id}/dwellers?limit=2&cursor={first['next_cursor']}").json()
    assert names[::-1] == [dweller["name"] for page in (first, second) for dweller in page["dwellers"]]
    assert second["next_cursor"] is None


def test_actions_are_listed_page_by_page(client: TestClient, dweller_id: str, do: Any, act: Any) -> None:
    """The first action first."""
    do("bob", "claim", dweller_id)
    done = [act("bob", dweller_id, f"Deed {number}.").json() for number in range(3)]
    first = client.get(f"/dwellers/{dweller_id}/actions?limit=2").json()
    assert first == {"actions": done[:2], "next_after": 2}
    second = client.get(f"/dwellers/{dweller_id}/actions?limit=2&after={first['next_after']}").json()
    assert second == {"actions": done[2:], "next_after": None}


@pytest.mark.parametrize(
    "path",
    [
        "/dwellers/x",
        "/dwellers/%00",
        "/dwellers/x/actions",
        f"/dwellers/{NOTHING}/actions?after=-1",
        f"/dwellers/{NOTHING}/actions?after={2**31}",
        f"/dwellers/{NOTHING}/actions?limit=101",
        "/worlds/x/dwellers",
        f"/worlds/{NOTHING}/dwellers?limit=0",
        f"/worlds/{NOTHING}/dwellers?cursor=x",
    ],
)
def test_what_cannot_be_is_malformed(client: TestClient, path: str) -> None:
    """Before it is not found."""
    assert code(client.get(path)) == (422, "malformed_request")


@pytest.mark.parametrize(
    "change",
    [{"name": "x" * 100}, {"name": " a "}, {"persona": "\U0001f30d" * 2000}],
    ids=lambda change: next(iter(change)),
)
def test_the_largest_that_is_allowed_is_kept_as_it_was_sent(add: Any, change: dict[str, Any]) -> None:
    """Lengths are counted in characters."""
    added = add(**change)
    assert added.status_code == 201
    assert change == {key: added.json()[key] for key in change}


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "\x00"},
        {"name": 7},
        {"persona": "x" * 2001},
        {"persona": None},
        {"region_id": "x"},
        {"region_id": 7},
        {"holder_id": None},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_a_malformed_dweller_is_refused(add: Any, change: dict[str, Any]) -> None:
    """Before the database sees it, and before anybody asks whose world it is."""
    assert code(add(who="bob", **change)) == (422, "malformed_request")


@pytest.mark.parametrize(
    "change",
    [
        {"context_token": ""},
        {"context_token": "x" * 201},
        {"context_token": 7},
        {"context_token": None},
        {"deed": ""},
        {"deed": " \n"},
        {"deed": "x" * 2001},
        {"deed": "x\x00"},
        {"number": 1},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_a_malformed_action_is_refused(do: Any, change: dict[str, Any]) -> None:
    """Before anybody asks whether the dweller is there."""
    answer = do("bob", "actions", NOTHING, json={"context_token": "x", "deed": "Sails."} | change)
    assert code(answer) == (422, "malformed_request")


def test_half_a_character_is_malformed(do: Any) -> None:
    """A lone surrogate, which JSON can say and nobody can hash."""
    body = b'{"context_token": "\\ud800", "deed": "Sails."}'
    answer = do("bob", "actions", NOTHING, content=body, headers={"Content-Type": "application/json"})
    assert code(answer) == (422, "malformed_request")


@pytest.mark.parametrize("token", ["x" * 200, "\x00", "\U0001f30d", " "])
def test_whatever_is_no_token_is_unknown(dweller_id: str, do: Any, token: str) -> None:
    """Never a 500."""
    do("bob", "claim", dweller_id)
    answer = do("bob", "actions", dweller_id, json={"context_token": token, "deed": "x" * 2000})
    assert code(answer) == (409, "context_token_unknown")


def test_the_key_is_asked_for_before_anything_else(client: TestClient) -> None:
    """Without one, nobody learns whether a dweller is there or a body is good."""
    for path in (f"/worlds/{NOTHING}/dwellers", *(f"/dwellers/x/{what}" for what in ("claim", "release", "context"))):
        assert code(client.post(path, content=b"no JSON")) == (401, "api_key_missing")
    wrong = client.post(f"/dwellers/{NOTHING}/actions", json={"bad": 1}, headers={"X-API-Key": "no"})
    assert code(wrong) == (401, "api_key_unknown")
