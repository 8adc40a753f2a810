"""deepsci.worlds.routes. How a world comes to be is told in the tests of the proposals' routes."""

import pytest
from fastapi.testclient import TestClient


def test_in_the_beginning_there_are_no_worlds(client: TestClient) -> None:
    """An empty list is a list."""
    assert client.get("/worlds").json() == {"worlds": []}


def test_an_unknown_world_is_not_found(client: TestClient) -> None:
    """An id that names nothing."""
    answer = client.get("/worlds/00000000-0000-0000-0000-000000000000")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "world_not_found")


@pytest.mark.parametrize("path", ["/worlds/x", "/worlds/%00", "/worlds?limit=-1"])
def test_what_cannot_be_an_id_or_a_limit_is_malformed(client: TestClient, path: str) -> None:
    """Not unknown, and never a 500."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_request")


def test_nobody_makes_a_world_directly(client: TestClient) -> None:
    """Only votes do."""
    assert client.post("/worlds", json={}).status_code == 405
