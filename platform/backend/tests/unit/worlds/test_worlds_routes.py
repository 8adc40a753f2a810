"""deepsci.worlds.routes. How a world comes to be is told in the tests of the proposals' routes."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pgdst import SimulatedClock

NOTHING = "00000000-0000-0000-0000-000000000000"
FUTURE: dict[str, Any] = {
    "premise": "Cities float.",
    "year": 2200,
    "chain": [{"year": 2100 + n, "description": f"Step {n}."} for n in range(3)],
}
DELTA = {"name": "Delta", "description": "Wet."}

Keys = dict[str, dict[str, str]]


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def world_id(client: TestClient, keys: Keys) -> str:
    """The id of a world that ada has founded."""
    proposal_id = client.post("/proposals", json=FUTURE, headers=keys["ada"]).json()["id"]
    client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"])
    vote = {"verdict": "approve", "critique": "Well."}
    votes = [
        client.post(f"/proposals/{proposal_id}/validations", json=vote, headers=keys[name]) for name in ("bob", "cyd")
    ]
    founded: str = votes[-1].json()["world_id"]
    return founded


def test_in_the_beginning_there_are_no_worlds(client: TestClient) -> None:
    """An empty list is a list."""
    assert client.get("/worlds").json() == {"worlds": [], "next_cursor": None}


def test_an_unknown_world_is_not_found(client: TestClient) -> None:
    """An id that names nothing."""
    answer = client.get("/worlds/00000000-0000-0000-0000-000000000000")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "world_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/worlds/x",
        "/worlds/%00",
        "/worlds?limit=-1",
        "/worlds?cursor=x",
        "/worlds/x/regions",
        f"/worlds/{NOTHING}/regions?limit=0",
        f"/worlds/{NOTHING}/regions?cursor=x",
    ],
)
def test_what_cannot_be_an_id_or_a_limit_is_malformed(client: TestClient, path: str) -> None:
    """Not unknown, and never a 500."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_request")


def test_nobody_makes_a_world_directly(client: TestClient) -> None:
    """Only votes do."""
    assert client.post("/worlds", json={}).status_code == 405


def test_a_founder_adds_a_region(client: TestClient, keys: Keys, world_id: str) -> None:
    """As anyone reads it afterwards."""
    added = client.post(f"/worlds/{world_id}/regions", json=DELTA, headers=keys["ada"])
    assert added.status_code == 201
    assert {"id", "world_id", "name", "description", "created_at"} == added.json().keys()
    assert DELTA | {"world_id": world_id} == {key: added.json()[key] for key in (*DELTA, "world_id")}
    assert client.get(f"/worlds/{world_id}/regions").json() == {"regions": [added.json()], "next_cursor": None}


def test_refusals_of_a_region_come_in_their_order(client: TestClient, keys: Keys, world_id: str) -> None:
    """What is not there, who may not, what is taken."""
    path = f"/worlds/{world_id}/regions"
    assert client.post(path, json=DELTA, headers=keys["ada"]).status_code == 201
    assert code(client.post(f"/worlds/{NOTHING}/regions", json=DELTA)) == (401, "api_key_missing")
    blank = DELTA | {"name": ""}
    assert code(client.post(f"/worlds/{NOTHING}/regions", json=blank, headers=keys["bob"])) == (
        422,
        "malformed_request",
    )
    assert code(client.post(f"/worlds/{NOTHING}/regions", json=DELTA, headers=keys["bob"])) == (404, "world_not_found")
    assert code(client.post(path, json=DELTA, headers=keys["bob"])) == (403, "not_the_founder")
    assert code(client.post(path, json=DELTA, headers=keys["ada"])) == (409, "region_name_taken")
    assert code(client.get(f"/worlds/{NOTHING}/regions")) == (404, "world_not_found")
    assert len(client.get(path).json()["regions"]) == 1


@pytest.mark.parametrize("name", ["delta", "Delta ", " Delta", "Délta", "De\u0301lta"])
def test_names_of_regions_are_compared_exactly(client: TestClient, keys: Keys, world_id: str, name: str) -> None:
    """Another case or a space more is another name."""
    path = f"/worlds/{world_id}/regions"
    client.post(path, json=DELTA, headers=keys["ada"])
    assert client.post(path, json=DELTA | {"name": name}, headers=keys["ada"]).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "x\x00"},
        {"name": None},
        {"description": ""},
        {"description": "x" * 2001},
        {"more": 1},
    ],
    ids=lambda change: repr(change)[:30],
)
def test_a_malformed_region_is_refused(
    client: TestClient, keys: Keys, world_id: str, change: dict[str, object]
) -> None:
    """Before the database sees it."""
    answer = client.post(f"/worlds/{world_id}/regions", json=DELTA | change, headers=keys["ada"])
    assert code(answer) == (422, "malformed_request")


def test_the_largest_region_is_kept_as_it_was_sent(client: TestClient, keys: Keys, world_id: str) -> None:
    """Lengths are counted in characters."""
    largest = {"name": "\U0001f30d" * 100, "description": "\U0001f30d" * 2000}
    added = client.post(f"/worlds/{world_id}/regions", json=largest, headers=keys["ada"]).json()
    assert largest == {key: added[key] for key in largest}


def test_a_dormant_founder_still_shapes_its_world(
    client: TestClient, keys: Keys, world_id: str, clock: SimulatedClock
) -> None:
    """Only who proposes, validates, claims or acts must have been heard of."""
    clock.advance(timedelta(days=7))
    assert client.post(f"/worlds/{world_id}/regions", json=DELTA, headers=keys["ada"]).status_code == 201


def test_regions_are_listed_page_by_page(client: TestClient, keys: Keys, world_id: str, clock: SimulatedClock) -> None:
    """The newest first."""
    path = f"/worlds/{world_id}/regions"
    for name in ("one", "two", "three"):
        clock.advance(timedelta(seconds=1))
        client.post(path, json=DELTA | {"name": name}, headers=keys["ada"])
    first = client.get(path, params={"limit": 2}).json()
    second = client.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [["three", "two"], ["one"]] == [[region["name"] for region in page["regions"]] for page in (first, second)]
    assert second["next_cursor"] is None


def test_worlds_are_listed_with_their_founders(client: TestClient, keys: Keys, world_id: str) -> None:
    """Who has proposed them."""
    (listed,) = client.get("/worlds").json()["worlds"]
    assert client.get("/agents/me", headers=keys["ada"]).json()["id"] == listed["founder_id"]
    assert client.get(f"/worlds/{world_id}").json() == listed
