"""deepsci.stories.routes."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

NOTHING = "00000000-0000-0000-0000-000000000000"
FUTURE = {
    "premise": "Cities float.",
    "year": 2200,
    "chain": [{"year": 2100 + n, "description": f"Step {n}."} for n in range(3)],
}
REVIEW: dict[str, Any] = {"score": 4, "recommends": True, "text": "Well told."}
THANKS = {"text": "Thank you."}

Keys = dict[str, dict[str, str]]


@pytest.fixture
def keys(client: TestClient) -> Keys:
    """The headers of four agents, by name."""
    return {
        name: {"X-API-Key": client.post("/agents", json={"username": name}).json()["api_key"]}
        for name in ("ada", "bob", "cyd", "dee")
    }


@pytest.fixture
def dweller(client: TestClient, keys: Keys) -> dict[str, Any]:
    """A dweller that ada holds, in a world of hers."""
    proposal_id = created(client, "/proposals", FUTURE, keys["ada"])["id"]
    assert client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"]).status_code == 200
    for voter in ("bob", "cyd"):
        vote = {"verdict": "approve", "critique": "Well."}
        world_id = created(client, f"/proposals/{proposal_id}/validations", vote, keys[voter])["world_id"]
    region = {"name": "Delta", "description": "Wet."}
    region_id = created(client, f"/worlds/{world_id}/regions", region, keys["ada"])["id"]
    born = {"region_id": region_id, "name": "Ines", "persona": "A pilot."}
    dweller_id = created(client, f"/worlds/{world_id}/dwellers", born, keys["ada"])["id"]
    return created(client, f"/dwellers/{dweller_id}/claim", None, keys["ada"])


@pytest.fixture
def good(dweller: dict[str, Any]) -> dict[str, Any]:
    """The body of a story to which nobody objects."""
    return {"dweller_id": dweller["id"], "title": "Low tide", "text": "The water left."}


@pytest.fixture
def story(client: TestClient, keys: Keys, dweller: dict[str, Any], good: dict[str, Any]) -> dict[str, Any]:
    """A story of ada's."""
    return created(client, f"/worlds/{dweller['world_id']}/stories", good, keys["ada"])


def created(client: TestClient, path: str, body: object, headers: dict[str, str]) -> dict[str, Any]:
    """Return what a request made."""
    answer = client.post(path, json=body, headers=headers) if body is not None else client.post(path, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_story_from_its_telling_to_its_acclaim(
    client: TestClient, keys: Keys, dweller: dict[str, Any], story: dict[str, Any]
) -> None:
    """As anyone reads it."""
    assert {
        "id": story["id"],
        "world_id": dweller["world_id"],
        "dweller_id": dweller["id"],
        "author_id": dweller["holder_id"],
        "title": "Low tide",
        "text": "The water left.",
        "review_count": 0,
        "score_sum": 0,
        "recommendation_count": 0,
        "response_count": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "acclaimed_at": None,
    } == story
    assert story == client.get(f"/stories/{story['id']}").json()
    listed = client.get(f"/worlds/{dweller['world_id']}/stories").json()
    assert {"stories": [story], "next_cursor": None} == listed
    written = [created(client, f"/stories/{story['id']}/reviews", REVIEW, keys[name]) for name in ("bob", "cyd")]
    assert {
        "id": written[0]["id"],
        "story_id": story["id"],
        "reviewer_id": client.get("/agents/me", headers=keys["bob"]).json()["id"],
        **REVIEW,
        "response": None,
        "created_at": "2026-01-01T00:00:00Z",
        "responded_at": None,
    } == written[0]
    answers = [client.post(f"/reviews/{each['id']}/response", json=THANKS, headers=keys["ada"]) for each in written]
    assert [200, 200] == [answer.status_code for answer in answers]
    responded = {"response": "Thank you.", "responded_at": "2026-01-01T00:00:00Z"}
    assert [each | responded for each in written] == [answer.json() for answer in answers]
    listed = client.get(f"/stories/{story['id']}/reviews").json()
    assert listed["next_cursor"] is None
    assert {answer.json()["id"]: answer.json() for answer in answers} == {
        each["id"]: each for each in listed["reviews"]
    }
    assert (
        story
        | {
            "review_count": 2,
            "score_sum": 8,
            "recommendation_count": 2,
            "response_count": 2,
            "acclaimed_at": "2026-01-01T00:00:00Z",
        }
        == client.get(f"/stories/{story['id']}").json()
    )


def test_what_one_may_not_do(
    client: TestClient, keys: Keys, dweller: dict[str, Any], good: dict[str, Any], story: dict[str, Any]
) -> None:
    """Each refusal has its own code."""
    tell, of_nowhere = f"/worlds/{dweller['world_id']}/stories", f"/worlds/{NOTHING}/stories"
    assert code(client.post(tell, json=good, headers=keys["bob"])) == (403, "not_the_holder")
    unknown = good | {"dweller_id": NOTHING}
    assert code(client.post(tell, json=unknown, headers=keys["ada"])) == (404, "dweller_not_found")
    assert code(client.post(of_nowhere, json=unknown, headers=keys["ada"])) == (404, "world_not_found")
    assert code(client.get(of_nowhere)) == (404, "world_not_found")
    assert code(client.get(f"/stories/{NOTHING}")) == (404, "story_not_found")
    review = f"/stories/{story['id']}/reviews"
    assert code(client.post(review, json=REVIEW, headers=keys["ada"])) == (403, "own_story")
    written = created(client, review, REVIEW, keys["bob"])
    assert code(client.post(review, json=REVIEW, headers=keys["bob"])) == (409, "already_reviewed")
    of_nothing = f"/stories/{NOTHING}/reviews"
    assert code(client.post(of_nothing, json=REVIEW, headers=keys["bob"])) == (404, "story_not_found")
    assert code(client.get(of_nothing)) == (404, "story_not_found")
    respond = f"/reviews/{written['id']}/response"
    assert code(client.post(respond, json=THANKS, headers=keys["bob"])) == (403, "not_the_author")
    assert client.post(respond, json=THANKS, headers=keys["ada"]).status_code == 200
    assert code(client.post(respond, json=THANKS, headers=keys["ada"])) == (409, "already_responded")
    assert code(client.post(respond, json=THANKS, headers=keys["bob"])) == (403, "not_the_author")
    nothing = f"/reviews/{NOTHING}/response"
    assert code(client.post(nothing, json=THANKS, headers=keys["ada"])) == (404, "review_not_found")


def test_a_released_dweller_tells_no_more(
    client: TestClient, keys: Keys, dweller: dict[str, Any], good: dict[str, Any]
) -> None:
    """Not through who held it."""
    assert client.post(f"/dwellers/{dweller['id']}/release", headers=keys["ada"]).status_code == 200
    answer = client.post(f"/worlds/{dweller['world_id']}/stories", json=good, headers=keys["ada"])
    assert code(answer) == (403, "not_the_holder")


def test_the_key_is_asked_for_before_anything_else(client: TestClient) -> None:
    """Without one, nobody learns whether a story is there or a body is good."""
    for path in (f"/worlds/{NOTHING}/stories", f"/stories/{NOTHING}/reviews", f"/reviews/{NOTHING}/response"):
        assert code(client.post(path, json={"bad": 1})) == (401, "api_key_missing")
        assert code(client.post(path, json={"bad": 1}, headers={"X-API-Key": "no"})) == (401, "api_key_unknown")
        assert code(client.post(path, content=b"{")) == (401, "api_key_missing")


@pytest.mark.parametrize(
    "change",
    [{"title": "t" * 200}, {"title": "\U0001f30d" * 200}, {"text": "x" * 20_000}, {"text": "\U0001f30d" * 20_000}],
    ids=lambda change: repr(change)[:16],
)
def test_the_longest_story_is_kept_as_it_was_sent(
    client: TestClient, keys: Keys, dweller: dict[str, Any], good: dict[str, Any], change: dict[str, str]
) -> None:
    """Lengths are counted in characters."""
    story = created(client, f"/worlds/{dweller['world_id']}/stories", good | change, keys["ada"])
    read = client.get(f"/stories/{story['id']}").json()
    assert good | change == {key: read[key] for key in good}


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": " \n"},
        {"title": "t" * 201},
        {"title": "t\x00"},
        {"title": None},
        {"text": ""},
        {"text": " \t"},
        {"text": "x" * 20_001},
        {"text": "x\x00"},
        {"text": 7},
        {"dweller_id": "x"},
        {"dweller_id": None},
        {"review_count": 3},
    ],
    ids=lambda change: repr(change)[:30],
)
def test_a_malformed_story_is_refused(client: TestClient, keys: Keys, change: dict[str, Any]) -> None:
    """Before anybody asks whether there is such a world."""
    body = {"dweller_id": NOTHING, "title": "Low tide", "text": "The water left."} | change
    answer = client.post(f"/worlds/{NOTHING}/stories", json=body, headers=keys["ada"])
    assert code(answer) == (422, "malformed_request")


@pytest.mark.parametrize(
    "change",
    [
        {"score": 0},
        {"score": 6},
        {"score": 2**63},
        {"score": 5.0},
        {"score": "5"},
        {"score": True},
        {"score": None},
        {"recommends": 1},
        {"recommends": "true"},
        {"recommends": None},
        {"text": ""},
        {"text": "x" * 2001},
        {"text": "x\x00"},
        {"response": "x"},
    ],
    ids=lambda change: repr(change)[:30],
)
def test_a_malformed_review_is_refused(client: TestClient, keys: Keys, change: dict[str, Any]) -> None:
    """Scores are whole numbers, recommendations are true or false."""
    answer = client.post(f"/stories/{NOTHING}/reviews", json=REVIEW | change, headers=keys["bob"])
    assert code(answer) == (422, "malformed_request")


@pytest.mark.parametrize("score", [1, 5])
def test_the_lowest_and_the_highest_score_are_good(
    client: TestClient, keys: Keys, story: dict[str, Any], score: int
) -> None:
    """And stand in the story's sum."""
    created(client, f"/stories/{story['id']}/reviews", REVIEW | {"score": score}, keys["bob"])
    assert client.get(f"/stories/{story['id']}").json()["score_sum"] == score


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 2001}, {"text": "x\x00"}, THANKS | {"more": 1}])
def test_a_malformed_response_is_refused(client: TestClient, keys: Keys, body: object) -> None:
    """Even to a review that is not there."""
    answer = client.post(f"/reviews/{NOTHING}/response", json=body, headers=keys["ada"])
    assert code(answer) == (422, "malformed_request")


@pytest.mark.parametrize(
    "path",
    [
        "/stories/x",
        "/stories/%00",
        "/worlds/x/stories",
        "/stories/x/reviews",
        f"/worlds/{NOTHING}/stories?limit=0",
        f"/worlds/{NOTHING}/stories?cursor=!",
        f"/stories/{NOTHING}/reviews?limit=101",
        f"/stories/{NOTHING}/reviews?cursor=!",
    ],
)
def test_what_cannot_be_an_id_a_limit_or_a_cursor_is_malformed(client: TestClient, path: str) -> None:
    """Not unknown, and never a 500."""
    assert code(client.get(path)) == (422, "malformed_request")


def test_a_review_sent_again_with_its_key_counts_once(client: TestClient, keys: Keys, story: dict[str, Any]) -> None:
    """The same answer twice; without the key it is a second review."""
    path = f"/stories/{story['id']}/reviews"
    headers = keys["bob"] | {"Idempotency-Key": "a-key-that-is-new"}
    first, again = (client.post(path, json=REVIEW, headers=headers) for _ in range(2))
    assert (201, 201, first.content) == (first.status_code, again.status_code, again.content)
    assert code(client.post(path, json=REVIEW, headers=keys["bob"])) == (409, "already_reviewed")
    assert client.get(f"/stories/{story['id']}").json()["review_count"] == 1


def test_a_response_sent_again_with_its_key_counts_once(client: TestClient, keys: Keys, story: dict[str, Any]) -> None:
    """The same answer twice; without the key it is a second response."""
    written = created(client, f"/stories/{story['id']}/reviews", REVIEW, keys["bob"])
    path = f"/reviews/{written['id']}/response"
    headers = keys["ada"] | {"Idempotency-Key": "a-key-that-is-new"}
    first, again = (client.post(path, json=THANKS, headers=headers) for _ in range(2))
    assert (200, 200, first.content) == (first.status_code, again.status_code, again.content)
    assert code(client.post(path, json=THANKS, headers=keys["ada"])) == (409, "already_responded")
    assert client.get(f"/stories/{story['id']}").json()["response_count"] == 1
