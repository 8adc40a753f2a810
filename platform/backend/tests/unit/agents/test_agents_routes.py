"""deepsci.agents.routes."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from pgdst import SimulatedClock


def code(answer: object) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]  # type: ignore[attr-defined]  # a response


def test_registering_shows_the_key_once(client: TestClient) -> None:
    """In the answer, and nowhere afterwards."""
    registered = client.post("/agents", json={"username": "ada"})
    assert registered.status_code == 201
    facts = {"id", "username", "created_at", "last_heartbeat_at", "activity"}
    assert {*facts, "api_key"} == registered.json().keys()
    read = client.get(f"/agents/{registered.json()['id']}")
    assert read.status_code == 200
    assert {key: registered.json()[key] for key in facts} == read.json()
    assert client.get("/agents").json() == {"agents": [read.json()], "next_cursor": None}


def test_registering_is_the_first_heartbeat(client: TestClient) -> None:
    """Who has just come is active."""
    registered = client.post("/agents", json={"username": "ada"}).json()
    assert (registered["last_heartbeat_at"], registered["activity"]) == (registered["created_at"], "active")


def test_a_heartbeat_keeps_an_agent_active(
    client: TestClient, keys: dict[str, dict[str, str]], clock: SimulatedClock
) -> None:
    """The one that sent it; the others grow dormant by the clock alone."""
    clock.advance(timedelta(days=7))
    beaten = client.post("/agents/me/heartbeat", headers=keys["ada"])
    assert beaten.status_code == 200
    assert beaten.json() == client.get("/agents/me", headers=keys["ada"]).json()
    assert (beaten.json()["last_heartbeat_at"], beaten.json()["activity"]) == ("2026-01-08T00:00:00Z", "active")
    seen = {agent["username"]: agent["activity"] for agent in client.get("/agents").json()["agents"]}
    assert {"ada": "active", "bob": "dormant", "cyd": "dormant", "dee": "dormant"} == seen


def test_a_heartbeat_needs_a_key(client: TestClient) -> None:
    """Nobody can be kept active by others."""
    assert code(client.post("/agents/me/heartbeat")) == (401, "api_key_missing")


def test_agents_are_listed_page_by_page(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """Until there is no next page, each once."""
    cursor, names = "", []
    for _ in range(2):
        page = client.get("/agents", params={"limit": 2, "cursor": cursor}).json()
        names += [agent["username"] for agent in page["agents"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert sorted(keys) == sorted(names)


def test_times_are_written_in_utc(client: TestClient) -> None:
    """With a Z, whatever the zone of the server."""
    assert client.post("/agents", json={"username": "ada"}).json()["created_at"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("username", ["ada", "ADA", "aDa"])
def test_a_username_is_taken_in_any_case(client: TestClient, username: str) -> None:
    """Readers would take them for one."""
    client.post("/agents", json={"username": "ada"})
    assert code(client.post("/agents", json={"username": username})) == (409, "username_taken")


@pytest.mark.parametrize("username", ["abc", "a" * 30, "A-_9"])
def test_the_shortest_and_the_longest_username_are_good(client: TestClient, username: str) -> None:
    """Three to thirty characters."""
    assert client.post("/agents", json={"username": username}).status_code == 201


@pytest.mark.parametrize(
    "username", ["ab", "a" * 31, "9ab", "a b", "abc\n", "abc\x00", "äbc", "\uff41bc", "", None, 7, [], {}]
)
def test_what_is_no_username_is_malformed(client: TestClient, username: object) -> None:
    """Refused before the database sees it."""
    assert code(client.post("/agents", json={"username": username})) == (422, "malformed_request")


def test_me_is_whose_key_is_sent(client: TestClient) -> None:
    """Of two agents, the one that asks."""
    keys = {name: client.post("/agents", json={"username": name}).json()["api_key"] for name in ("ada", "bob")}
    assert client.get("/agents/me", headers={"X-API-Key": keys["bob"]}).json()["username"] == "bob"


def test_without_a_key_nobody_is_known(client: TestClient) -> None:
    """An empty key is none."""
    assert code(client.get("/agents/me")) == (401, "api_key_missing")
    assert code(client.get("/agents/me", headers={"X-API-Key": ""})) == (401, "api_key_missing")


@pytest.mark.parametrize("key", [b"x", b"\xff\xfe", b"x" * 5000, b"' OR true --"])
def test_a_wrong_key_is_unknown(client: TestClient, key: bytes) -> None:
    """Whatever bytes it has."""
    assert code(client.get("/agents/me", headers={b"X-API-Key": key})) == (401, "api_key_unknown")


def test_an_unknown_agent_is_not_found(client: TestClient) -> None:
    """An id that names nothing."""
    assert code(client.get("/agents/00000000-0000-0000-0000-000000000000")) == (404, "agent_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/agents/7",
        "/agents/%00",
        "/agents/%ff",
        "/agents?limit=0",
        "/agents?limit=101",
        "/agents?limit=x",
        "/agents?cursor=x",
        "/agents?limit=%00",
        "/agents?limit=" + "9" * 5000,
    ],
)
def test_what_cannot_be_an_id_or_a_limit_is_malformed(client: TestClient, path: str) -> None:
    """Not unknown, and never a 500."""
    assert code(client.get(path)) == (422, "malformed_request")
