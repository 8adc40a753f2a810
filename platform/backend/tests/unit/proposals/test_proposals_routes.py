"""deepsci.proposals.routes."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pgdst import SimulatedClock

NOTHING = "00000000-0000-0000-0000-000000000000"
GOOD: dict[str, Any] = {
    "premise": "Cities float.",
    "year": 2200,
    "chain": [{"year": 2100 + n, "description": f"Step {n}."} for n in range(3)],
}


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


def submitted(client: TestClient, headers: dict[str, str]) -> str:
    """Return the id of a new, submitted proposal."""
    proposal_id: str = client.post("/proposals", json=GOOD, headers=headers).json()["id"]
    assert client.post(f"/proposals/{proposal_id}/submit", headers=headers).status_code == 200
    return proposal_id


def vote(client: TestClient, headers: dict[str, str], proposal_id: str, verdict: str = "approve") -> Any:
    """Return the answer to a vote."""
    body = {"verdict": verdict, "critique": "Well."}
    return client.post(f"/proposals/{proposal_id}/validations", json=body, headers=headers)


def test_a_proposal_from_its_draft_to_its_world(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """The whole story, as anyone reads it."""
    drafted = client.post("/proposals", json=GOOD, headers=keys["ada"])
    assert drafted.status_code == 201
    proposal_id = drafted.json()["id"]
    assert client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"]).json()["status"] == "validating"
    first = vote(client, keys["bob"], proposal_id)
    assert (first.status_code, first.json()["proposal_status"], first.json()["world_id"]) == (201, "validating", None)
    second = vote(client, keys["cyd"], proposal_id)
    assert second.json()["proposal_status"] == "approved"
    read = client.get(f"/proposals/{proposal_id}").json()
    assert read["status"] == "approved"
    assert GOOD["chain"] == read["chain"]
    given = {vote.json()["validation"]["id"] for vote in (first, second)}
    assert given == {validation["id"] for validation in read["validations"]}
    world = client.get(f"/worlds/{second.json()['world_id']}").json()
    assert (proposal_id, GOOD["premise"], GOOD["year"]) == (world["proposal_id"], world["premise"], world["year"])
    assert read["author_id"] == world["founder_id"]


def test_a_proposal_that_is_strengthened(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """It is read in its second revision, with what was said of the first."""
    proposal_id = submitted(client, keys["ada"])
    assert vote(client, keys["bob"], proposal_id, "strengthen").json()["proposal_status"] == "validating"
    body = {"premise": "Cities fly.", "year": 2300, "chain": [*GOOD["chain"][:2], {"year": 2299, "description": "Up."}]}
    revised = client.post(f"/proposals/{proposal_id}/revise", json=body, headers=keys["ada"])
    assert revised.status_code == 200
    read = client.get(f"/proposals/{proposal_id}").json()
    assert read == revised.json()
    assert body == {key: read[key] for key in body}
    assert (read["status"], read["revision"], read["revised_at"]) == ("validating", 2, "2026-01-01T00:00:00Z")
    vote(client, keys["cyd"], proposal_id)
    judged = client.get(f"/proposals/{proposal_id}").json()["validations"]
    assert {("strengthen", 1), ("approve", 2)} == {(given["verdict"], given["revision"]) for given in judged}


def test_a_draft_was_never_revised(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """It begins with its first revision."""
    drafted = client.post("/proposals", json=GOOD, headers=keys["ada"]).json()
    assert (drafted["revision"], drafted["revised_at"]) == (1, None)


def test_what_one_may_not_do(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """Each refusal has its own code."""
    proposal_id = submitted(client, keys["ada"])
    draft_id = client.post("/proposals", json=GOOD, headers=keys["ada"]).json()["id"]
    assert code(client.post(f"/proposals/{draft_id}/submit", headers=keys["bob"])) == (403, "not_the_author")
    assert code(client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"])) == (409, "proposal_not_draft")
    assert code(vote(client, keys["ada"], proposal_id)) == (403, "own_proposal")
    assert code(vote(client, keys["bob"], draft_id)) == (409, "proposal_not_validating")
    assert vote(client, keys["bob"], proposal_id).status_code == 201
    assert code(vote(client, keys["bob"], proposal_id, "reject")) == (409, "already_validated")
    assert vote(client, keys["cyd"], proposal_id).status_code == 201
    assert code(vote(client, keys["dee"], proposal_id)) == (409, "proposal_not_validating")
    assert code(vote(client, keys["dee"], NOTHING)) == (404, "proposal_not_found")
    assert code(client.get(f"/proposals/{NOTHING}")) == (404, "proposal_not_found")


def revise(client: TestClient, headers: dict[str, str], proposal_id: str, **change: Any) -> Any:
    """Return the answer to a revision."""
    return client.post(f"/proposals/{proposal_id}/revise", json=GOOD | change, headers=headers)


def test_refusals_to_revise_come_in_their_order(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """What is wrong with the chain, then with the asker, then with the proposal, then with the year."""
    past: dict[str, Any] = {"year": 2026, "chain": [{"year": 2020, "description": "d"}] * 3}
    proposal_id = client.post("/proposals", json=GOOD, headers=keys["ada"]).json()["id"]
    assert code(revise(client, keys["bob"], NOTHING, chain=[])) == (422, "chain_too_short")
    assert code(revise(client, keys["bob"], NOTHING, **past)) == (404, "proposal_not_found")
    assert code(revise(client, keys["bob"], proposal_id, **past)) == (403, "not_the_author")
    assert code(revise(client, keys["ada"], proposal_id, **past)) == (409, "proposal_not_validating")
    client.post(f"/proposals/{proposal_id}/submit", headers=keys["ada"])
    assert code(revise(client, keys["ada"], proposal_id, **past)) == (409, "revision_not_asked_for")
    vote(client, keys["bob"], proposal_id, "strengthen")
    assert code(revise(client, keys["ada"], proposal_id, **past)) == (422, "year_not_in_the_future")
    assert revise(client, keys["ada"], proposal_id).status_code == 200
    assert code(revise(client, keys["ada"], proposal_id, **past)) == (409, "revision_not_asked_for")


def test_refusals_to_draft_come_in_their_order(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """The chain, the year, the cap."""
    for _ in range(3):
        client.post("/proposals", json=GOOD, headers=keys["ada"])
    past: dict[str, Any] = GOOD | {"year": 2026, "chain": [{"year": 2020, "description": "d"}] * 3}
    assert code(client.post("/proposals", json=past | {"chain": []}, headers=keys["ada"])) == (422, "chain_too_short")
    assert code(client.post("/proposals", json=past, headers=keys["ada"])) == (422, "year_not_in_the_future")
    assert code(client.post("/proposals", json=GOOD, headers=keys["ada"])) == (409, "too_many_open_proposals")


def test_who_is_dormant_is_told_so_first(
    client: TestClient, keys: dict[str, dict[str, str]], clock: SimulatedClock
) -> None:
    """Whatever else is wrong, but after what is malformed; a heartbeat opens everything again."""
    clock.advance(timedelta(days=7))
    refusal = (403, "agent_dormant")
    assert code(client.post("/proposals", json=GOOD | {"chain": []}, headers=keys["ada"])) == refusal
    assert code(client.post(f"/proposals/{NOTHING}/submit", headers=keys["ada"])) == refusal
    assert code(revise(client, keys["ada"], NOTHING, chain=[])) == refusal
    assert code(vote(client, keys["ada"], NOTHING)) == refusal
    assert code(vote(client, keys["ada"], NOTHING, "maybe")) == (422, "malformed_request")
    client.post("/agents/me/heartbeat", headers=keys["ada"])
    assert client.post("/proposals", json=GOOD, headers=keys["ada"]).status_code == 201


def test_a_refused_vote_leaves_nothing(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """The transaction of a refusal is rolled back."""
    proposal_id = submitted(client, keys["ada"])
    vote(client, keys["bob"], proposal_id)
    before = client.get(f"/proposals/{proposal_id}").json()
    vote(client, keys["bob"], proposal_id, "reject")
    assert before == client.get(f"/proposals/{proposal_id}").json()


def test_the_fourth_open_proposal_is_refused(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    """Whoever it is that has three."""
    statuses = [client.post("/proposals", json=GOOD, headers=keys["ada"]).status_code for _ in range(4)]
    assert [201, 201, 201, 409] == statuses
    assert client.post("/proposals", json=GOOD, headers=keys["bob"]).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"premise": "x" * 2000},
        {"premise": " \n a"},
        {"premise": "\U0001f30d" * 2000},
        {"year": 9999},
        {"chain": [{"year": 1, "description": "d" * 500}] * 50},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_largest_that_is_allowed_is_kept_as_it_was_sent(
    client: TestClient, keys: dict[str, dict[str, str]], change: dict[str, Any]
) -> None:
    """Lengths are counted in characters."""
    drafted = client.post("/proposals", json=GOOD | change, headers=keys["ada"])
    assert drafted.status_code == 201
    read = client.get(f"/proposals/{drafted.json()['id']}").json()
    assert GOOD | change == {key: read[key] for key in GOOD}


@pytest.mark.parametrize(
    "change",
    [
        {"premise": ""},
        {"premise": " \t\n "},
        {"premise": "\u2003\u00a0"},
        {"premise": "x" * 2001},
        {"premise": "x\x00"},
        {"premise": None},
        {"premise": 7},
        {"year": 0},
        {"year": -1},
        {"year": 10_000},
        {"year": 2**31},
        {"year": 2**63},
        {"year": 10**400},
        {"year": 2200.0},
        {"year": True},
        {"year": "2200"},
        {"year": None},
        {"chain": None},
        {"chain": "abc"},
        {"chain": [{"year": 1, "description": "d"}] * 51},
        {"chain": [{"year": 1, "description": "d" * 501}] * 3},
        {"chain": [{"year": 1, "description": "\x00"}] * 3},
        {"chain": [{"year": 1}] * 3},
        {"chain": [{"year": 2**40, "description": "d"}] * 3},
        {"status": "approved"},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_a_malformed_draft_is_refused(
    client: TestClient, keys: dict[str, dict[str, str]], change: dict[str, Any]
) -> None:
    """Before the database sees it."""
    answer = client.post("/proposals", json=GOOD | change, headers=keys["ada"])
    assert code(answer) == (422, "malformed_request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"verdict": "approve"},
        {"verdict": "approve", "critique": " "},
        {"verdict": "approve", "critique": "x" * 2001},
        {"verdict": "Strengthen", "critique": "x"},
        {"verdict": None, "critique": "x"},
        {"verdict": "approve", "critique": "x", "more": 1},
    ],
    ids=repr,
)
def test_a_malformed_vote_is_refused(client: TestClient, keys: dict[str, dict[str, str]], body: object) -> None:
    """Even on a proposal that is open."""
    proposal_id = submitted(client, keys["ada"])
    answer = client.post(f"/proposals/{proposal_id}/validations", json=body, headers=keys["bob"])
    assert code(answer)[1] == "malformed_request"


def test_the_key_is_asked_for_before_anything_else(client: TestClient) -> None:
    """Without one, nobody learns whether a proposal is there or a body is good."""
    assert code(client.post("/proposals", json={"bad": 1})) == (401, "api_key_missing")
    assert code(client.post(f"/proposals/{NOTHING}/submit")) == (401, "api_key_missing")
    assert code(client.post(f"/proposals/{NOTHING}/validations", json={})) == (401, "api_key_missing")
    assert code(client.post("/proposals/7/revise", content=b"{")) == (401, "api_key_missing")
    assert code(client.post("/proposals", json=GOOD, headers={"X-API-Key": "no"})) == (401, "api_key_unknown")


@pytest.mark.parametrize("query", ["status=open", "status=", "limit=0", "limit=1000", "status=%00", "cursor=x"])
def test_a_list_that_cannot_be_is_malformed(client: TestClient, query: str) -> None:
    """A status that does not exist is not an empty list."""
    assert code(client.get(f"/proposals?{query}")) == (422, "malformed_request")
