"""deepsci.notifications.routes."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

FUTURE: dict[str, Any] = {
    "premise": "Cities float.",
    "year": 2200,
    "chain": [{"year": 2100 + n, "description": f"Step {n}."} for n in range(3)],
}

Keys = dict[str, dict[str, str]]


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def validation_ids(client: TestClient, keys: Keys) -> list[str]:
    """The ids of three validations of a proposal of ada's."""
    proposal_id = client.post("/proposals", json=FUTURE, headers=keys["ada"]).json()["id"]
    client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"])
    vote = {"verdict": "strengthen", "critique": "Vague."}
    return [
        client.post(f"/proposals/{proposal_id}/validations", json=vote, headers=keys[name]).json()["validation"]["id"]
        for name in ("bob", "cyd", "dee")
    ]


def read(client: TestClient, headers: dict[str, str], up_to: object) -> Any:
    """Return the answer to saying up to which number one has read."""
    return client.post("/notifications/read", json={"up_to": up_to}, headers=headers)


def test_an_author_reads_of_its_validations(client: TestClient, keys: Keys, validation_ids: list[str]) -> None:
    """In the order in which they were given; who gave them is told nothing."""
    told = client.get("/notifications", headers=keys["ada"])
    assert told.status_code == 200
    assert told.json() == {
        "notifications": [
            {
                "number": number,
                "kind": "proposal_validated",
                "subject_id": subject_id,
                "created_at": "2026-01-01T00:00:00Z",
            }
            for number, subject_id in enumerate(validation_ids, start=1)
        ],
        "next_after": None,
        "unread": 3,
        "read_up_to": 0,
    }
    nothing: dict[str, Any] = {"notifications": [], "next_after": None, "unread": 0, "read_up_to": 0}
    assert nothing == client.get("/notifications", headers=keys["bob"]).json()


@pytest.mark.usefixtures("validation_ids")
def test_what_was_read_is_counted_no_more(client: TestClient, keys: Keys) -> None:
    """But is listed all the same."""
    marked = read(client, keys["ada"], 2)
    assert (marked.status_code, marked.json()) == (200, {"read_up_to": 2, "unread": 1})
    assert read(client, keys["ada"], 1).json() == {"read_up_to": 2, "unread": 1}
    page = client.get("/notifications?after=1&limit=1", headers=keys["ada"]).json()
    assert [2] == [row["number"] for row in page["notifications"]]
    assert (2, 1, 2) == (page["next_after"], page["unread"], page["read_up_to"])


@pytest.mark.usefixtures("validation_ids")
def test_what_was_not_sent_cannot_be_read(client: TestClient, keys: Keys) -> None:
    """Up to the largest number there could be."""
    assert code(read(client, keys["ada"], 4)) == (404, "notification_not_found")
    assert code(read(client, keys["bob"], 2**31 - 1)) == (404, "notification_not_found")
    assert read(client, keys["bob"], 0).status_code == 200


@pytest.mark.parametrize("up_to", [-1, 2**31, 10**400, 1.0, True, "1", None])
def test_what_is_no_number_is_malformed(client: TestClient, keys: Keys, up_to: object) -> None:
    """Before the inbox is looked at."""
    assert code(read(client, keys["ada"], up_to)) == (422, "malformed_request")


@pytest.mark.parametrize("query", ["after=-1", "after=x", f"after={2**31}", "after=%00", "limit=0", "limit=101"])
def test_a_list_that_cannot_be_is_malformed(client: TestClient, keys: Keys, query: str) -> None:
    """Never a 500."""
    assert code(client.get(f"/notifications?{query}", headers=keys["ada"])) == (422, "malformed_request")


def test_nobody_reads_anothers_notifications(client: TestClient) -> None:
    """The key says whose they are."""
    assert code(client.get("/notifications")) == (401, "api_key_missing")
    assert code(client.post("/notifications/read", json={"up_to": 0})) == (401, "api_key_missing")
