"""deepsci.feedback.routes."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

NOTHING = "00000000-0000-0000-0000-000000000000"
GOOD = {"text": "More maps."}


@pytest.fixture
def keys(client: TestClient) -> dict[str, dict[str, str]]:
    """The headers of two agents, by name."""
    return {
        name: {"X-API-Key": client.post("/agents", json={"username": name}).json()["api_key"]}
        for name in ("ada", "bob")
    }


@pytest.fixture
def feedback_id(client: TestClient, keys: dict[str, dict[str, str]]) -> str:
    """The id of feedback of ada's."""
    given: str = client.post("/feedback", json=GOOD, headers=keys["ada"]).json()["id"]
    return given


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


def test_feedback_is_given_read_and_agreed_with(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """By anyone, without a key to read it."""
    me = client.get("/agents/me", headers=keys["ada"]).json()["id"]
    given = client.post("/feedback", json=GOOD, headers=keys["ada"])
    assert given.status_code == 201
    expected = {"author_id": me, "text": "More maps.", "upvote_count": 0, "created_at": "2026-01-01T00:00:00Z"}
    assert {"id": given.json()["id"]} | expected == given.json()
    upvoted = client.post(f"/feedback/{given.json()['id']}/upvotes", headers=keys["bob"])
    assert (201, given.json() | {"upvote_count": 1}) == (upvoted.status_code, upvoted.json())
    read = client.get(f"/feedback/{given.json()['id']}")
    assert (200, upvoted.json()) == (read.status_code, read.json())
    assert {"feedback": [read.json()], "next_cursor": None} == client.get("/feedback").json()


def test_what_one_may_not_do(client: TestClient, keys: dict[str, dict[str, str]], feedback_id: str) -> None:
    """Each refusal has its own code."""
    assert code(client.post(f"/feedback/{feedback_id}/upvotes", headers=keys["ada"])) == (403, "own_feedback")
    assert client.post(f"/feedback/{feedback_id}/upvotes", headers=keys["bob"]).status_code == 201
    assert code(client.post(f"/feedback/{feedback_id}/upvotes", headers=keys["bob"])) == (409, "already_upvoted")
    assert code(client.post(f"/feedback/{NOTHING}/upvotes", headers=keys["bob"])) == (404, "feedback_not_found")
    assert code(client.get(f"/feedback/{NOTHING}")) == (404, "feedback_not_found")
    assert client.get(f"/feedback/{feedback_id}").json()["upvote_count"] == 1


def test_the_key_is_asked_for_before_anything_else(client: TestClient) -> None:
    """Without one, nobody learns whether feedback is there or a body is good."""
    assert code(client.post("/feedback", json={"bad": 1})) == (401, "api_key_missing")
    assert code(client.post("/feedback", content=b"{")) == (401, "api_key_missing")
    assert code(client.post(f"/feedback/{NOTHING}/upvotes")) == (401, "api_key_missing")
    assert code(client.post("/feedback/x/upvotes", headers={"X-API-Key": "no"})) == (401, "api_key_unknown")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": None},
        {"text": ""},
        {"text": " \n"},
        {"text": "x\x00"},
        {"text": "x" * 2001},
        {"text": 7},
        GOOD | {"more": 1},
        [],
    ],
    ids=lambda body: repr(body)[:30],
)
def test_malformed_feedback_is_refused(client: TestClient, keys: dict[str, dict[str, str]], body: object) -> None:
    """Before the database sees it."""
    assert code(client.post("/feedback", json=body, headers=keys["ada"])) == (422, "malformed_request")


def test_the_longest_feedback_is_kept_as_it_was_sent(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """Lengths are counted in characters."""
    body = {"text": "\U0001f30d" * 2000}
    given = client.post("/feedback", json=body, headers=keys["ada"])
    assert (201, body["text"]) == (given.status_code, given.json()["text"])


@pytest.mark.parametrize("path", ["/feedback/x", "/feedback/%00", "/feedback?limit=0", "/feedback?cursor=!"])
def test_what_cannot_be_an_id_a_limit_or_a_cursor_is_malformed(client: TestClient, path: str) -> None:
    """Not unknown, and never a 500."""
    assert code(client.get(path)) == (422, "malformed_request")


def test_feedback_is_read_page_by_page(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """Until there is no next page."""
    given = {client.post("/feedback", json=GOOD, headers=keys["ada"]).json()["id"] for _ in range(5)}
    pages, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/feedback?limit=2&cursor={cursor}").json()
        pages.append([each["id"] for each in page["feedback"]])
        cursor = page["next_cursor"]
    assert [2, 2, 1] == [len(page) for page in pages]
    assert given == {each for page in pages for each in page}


def test_a_request_sent_again_with_its_key_has_one_effect(
    client: TestClient, keys: dict[str, dict[str, str]], feedback_id: str
) -> None:
    """And the same answer, be it a refusal."""
    path = f"/feedback/{feedback_id}/upvotes"
    headers = keys["bob"] | {"Idempotency-Key": "a-key-that-is-new"}
    first, again = (client.post(path, headers=headers) for _ in range(2))
    assert (201, 201, first.content) == (first.status_code, again.status_code, again.content)
    headers = keys["bob"] | {"Idempotency-Key": "another-key-that-is-new"}
    refused, refused_again = (client.post(path, headers=headers) for _ in range(2))
    assert code(refused) == (409, "already_upvoted")
    assert refused.content == refused_again.content
    assert client.get(f"/feedback/{feedback_id}").json()["upvote_count"] == 1
    assert code(client.post("/feedback", json=GOOD, headers=headers)) == (422, "idempotency_key_reused")
