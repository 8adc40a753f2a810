"""deepsci.idempotency."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from deepsci.agents import service as agents
from deepsci.agents.schemas import RegisteredAgent, registered_agent
from deepsci.errors import ApiError, ErrorCode
from deepsci.idempotency import Once
from deepsci.models import Agent, IdempotentRequest, Proposal
from deepsci.proposals import service as proposals
from fastapi.responses import Response
from fastapi.testclient import TestClient
from pgdst import SeededIds, SimulatedClock
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

KEY = "0123456789abcdef"
OTHER_KEY = "fedcba9876543210"
NOTHING = "00000000-0000-0000-0000-000000000000"
GOOD: dict[str, Any] = {
    "premise": "Cities float.",
    "year": 2200,
    "chain": [{"year": 2100 + n, "description": f"Step {n}."} for n in range(3)],
}

Keys = dict[str, dict[str, str]]
StartBlocked = Callable[[Callable[[Session], Any]], Future[Any]]


def code(answer: Any) -> tuple[int, str]:
    """Return the status and the error code of an answer."""
    return answer.status_code, answer.json()["error"]["code"]


def whole(answer: Any) -> tuple[int, bytes, str]:
    """Return all of an answer that a client may act on."""
    return answer.status_code, answer.content, answer.headers["Content-Type"]


def with_key(headers: dict[str, str], key: str = KEY) -> dict[str, str]:
    """Return the headers with an Idempotency-Key."""
    return headers | {"Idempotency-Key": key}


def count(engine: Engine, model: type) -> int:
    """Return how many rows were committed."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(model)).scalar_one()


def submitted(client: TestClient, headers: dict[str, str]) -> str:
    """Return the id of a new, submitted proposal."""
    proposal_id: str = client.post("/proposals", json=GOOD, headers=headers).json()["id"]
    assert client.post(f"/proposals/{proposal_id}/submit", headers=headers).status_code == 200
    return proposal_id


def test_the_same_request_has_one_effect_and_one_answer(client: TestClient, engine: Engine, keys: Keys) -> None:
    """However often it is sent, byte for byte, whatever time it is."""
    first, second, third = (client.post("/proposals", json=GOOD, headers=with_key(keys["ada"])) for _ in range(3))
    assert first.status_code == 201
    assert whole(first) == whole(second) == whole(third)
    assert count(engine, Proposal) == 1


def test_without_a_key_the_same_request_is_another(client: TestClient, engine: Engine, keys: Keys) -> None:
    """And nothing is kept."""
    first, second = (client.post("/proposals", json=GOOD, headers=keys["ada"]) for _ in range(2))
    assert first.json()["id"] != second.json()["id"]
    assert count(engine, IdempotentRequest) == 0


def test_with_a_key_an_answer_looks_as_it_does_without(client: TestClient, keys: Keys) -> None:
    """The answer is the same but for what is new each time; so is a refusal."""
    plain, kept = (client.post("/proposals", json=GOOD, headers=sent) for sent in (keys["ada"], with_key(keys["ada"])))
    assert (plain.status_code, plain.headers["Content-Type"]) == (kept.status_code, kept.headers["Content-Type"])
    assert plain.json() | {"id": kept.json()["id"]} == kept.json()
    path = f"/proposals/{NOTHING}/submit"
    refused = [client.post(path, headers=sent) for sent in (keys["ada"], with_key(keys["ada"], OTHER_KEY))]
    assert whole(refused[0]) == whole(refused[1])


def test_a_success_without_a_new_thing_is_replayed_with_its_status(client: TestClient, keys: Keys) -> None:
    """A second submission would be refused; a replayed one is not."""
    proposal_id = client.post("/proposals", json=GOOD, headers=keys["ada"]).json()["id"]
    first, second = (client.post(f"/proposals/{proposal_id}/submit", headers=with_key(keys["ada"])) for _ in range(2))
    assert first.status_code == 200
    assert whole(first) == whole(second)


@pytest.mark.parametrize("layout", [{"indent": 4}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_the_layout_of_the_json_is_not_the_request(client: TestClient, keys: Keys, layout: dict[str, Any]) -> None:
    """Nor is the order of the fields."""
    first = client.post("/proposals", json=GOOD | {"premise": "é"}, headers=with_key(keys["ada"]))
    reordered = json.dumps(dict(reversed((GOOD | {"premise": "é"}).items())), **layout).encode()
    sent = with_key(keys["ada"]) | {"Content-Type": "application/json"}
    assert whole(first) == whole(client.post("/proposals", content=reordered, headers=sent))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/proposals", GOOD | {"premise": "Cities sink."}),
        ("/proposals", GOOD | {"chain": GOOD["chain"][::-1]}),
        ("/proposals?limit=1", GOOD),
        (f"/proposals/{NOTHING}/revise", GOOD),
        ("/agents/me/heartbeat", None),
    ],
)
def test_a_key_is_good_for_one_request(client: TestClient, engine: Engine, keys: Keys, path: str, body: Any) -> None:
    """Another one is refused, has no effect, and does not spoil the first."""
    first = client.post("/proposals", json=GOOD, headers=with_key(keys["ada"]))
    assert code(client.post(path, json=body, headers=with_key(keys["ada"]))) == (422, "idempotency_key_reused")
    assert whole(first) == whole(client.post("/proposals", json=GOOD, headers=with_key(keys["ada"])))
    assert count(engine, Proposal) == count(engine, IdempotentRequest) == 1


def test_another_key_is_another_request(client: TestClient, engine: Engine, keys: Keys) -> None:
    """Though all the rest is the same."""
    for key in (KEY, OTHER_KEY):
        client.post("/proposals", json=GOOD, headers=with_key(keys["ada"], key))
    assert count(engine, Proposal) == 2


def test_agents_do_not_share_keys(client: TestClient, keys: Keys) -> None:
    """The same key, from another agent, is another request, and opens nothing of the first one's."""
    answers = [client.post("/proposals", json=GOOD, headers=with_key(keys[name])) for name in ("ada", "bob")]
    assert [201, 201] == [answer.status_code for answer in answers]
    assert len({answer.json()["author_id"] for answer in answers}) == 2
    assert client.post("/agents", json={"username": "eve"}, headers=with_key({})).status_code == 201


def test_refusals_are_replayed(client: TestClient, keys: Keys, clock: SimulatedClock) -> None:
    """What has become of its reason since then does not matter: 403, 404, 409 and 422."""
    proposal_id = submitted(client, keys["ada"])
    clock.advance(timedelta(days=7))
    requests = [
        ("dee", "/proposals", GOOD, (403, "agent_dormant")),
        ("bob", f"/proposals/{NOTHING}/submit", None, (404, "proposal_not_found")),
        ("ada", f"/proposals/{proposal_id}/submit", None, (409, "proposal_not_draft")),
        ("cyd", "/proposals", GOOD | {"chain": []}, (422, "chain_too_short")),
    ]
    for name in ("ada", "bob", "cyd"):
        client.post("/agents/me/heartbeat", headers=keys[name])
    first = [client.post(path, json=body, headers=with_key(keys[name])) for name, path, body, _code in requests]
    assert [expected for *_request, expected in requests] == [code(answer) for answer in first]
    client.post("/agents/me/heartbeat", headers=keys["dee"])
    second = [client.post(path, json=body, headers=with_key(keys[name])) for name, path, body, _code in requests]
    assert [whole(answer) for answer in first] == [whole(answer) for answer in second]


def test_what_the_database_refused_is_replayed(client: TestClient, engine: Engine, keys: Keys) -> None:
    """A constraint's refusal is an answer like others, and undoes what came before it."""
    proposal_id = submitted(client, keys["ada"])
    path, body = f"/proposals/{proposal_id}/validations", {"verdict": "approve", "critique": "Well."}
    client.post(path, json=body, headers=keys["bob"])
    first = client.post(path, json=body, headers=with_key(keys["bob"]))
    assert code(first) == (409, "already_validated")
    assert whole(first) == whole(client.post(path, json=body, headers=with_key(keys["bob"])))
    assert len(client.get(f"/proposals/{proposal_id}").json()["validations"]) == 1
    assert count(engine, IdempotentRequest) == 1


def test_a_success_is_replayed_to_who_has_become_dormant(client: TestClient, keys: Keys, clock: SimulatedClock) -> None:
    """It is the answer that was lost on the way, and has no effect any more."""
    first = client.post("/proposals", json=GOOD, headers=with_key(keys["ada"]))
    clock.advance(timedelta(days=7))
    assert whole(first) == whole(client.post("/proposals", json=GOOD, headers=with_key(keys["ada"])))


def test_registering_again_with_the_key_gives_the_same_api_key(client: TestClient, engine: Engine) -> None:
    """Whoever lost the answer is not locked out of its name."""
    first, second = (client.post("/agents", json={"username": "ada"}, headers=with_key({})) for _ in range(2))
    assert first.status_code == 201
    assert whole(first) == whole(second)
    assert count(engine, Agent) == 1
    read = client.get("/agents/me", headers={"X-API-Key": second.json()["api_key"]})
    assert read.json()["id"] == first.json()["id"]
    again = client.post("/agents", json={"username": "bob"}, headers=with_key({}))
    assert code(again) == (422, "idempotency_key_reused")


def test_no_column_holds_a_key_that_opens_anything(client: TestClient, engine: Engine) -> None:
    """Neither the API key nor the Idempotency-Key can be read from the database, nor who was answered what."""
    api_key = client.post("/agents", json={"username": "ada"}, headers=with_key({})).json()["api_key"]
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        values = [
            value if isinstance(value, bytes) else str(value).encode()
            for table in tables.all()
            for row in connection.execute(text(f"SELECT * FROM {table}"))
            for value in row
        ]
        (sealed,) = connection.execute(select(IdempotentRequest.sealed_answer)).scalars()
    assert any(b"ada" in value for value in values)
    for secret in (api_key.encode(), KEY.encode()):
        assert not [value for value in values if secret in value or secret.hex().encode() in value]
    assert b"ada" not in (sealed or b"ada")


@pytest.mark.parametrize(
    "key", [b"", b"x" * 15, b"x" * 201, b"x" * 15 + b" ", b"0123456789 abcdef", b"\xff" * 20, b"0123456789abcde\t"]
)
def test_what_is_no_idempotency_key_is_malformed(client: TestClient, engine: Engine, keys: Keys, key: bytes) -> None:
    """Too short to be a secret, too long, or not of printable ASCII; the request has no effect."""
    headers = {name.encode(): value.encode() for name, value in keys["ada"].items()} | {b"Idempotency-Key": key}
    assert code(client.post("/proposals", json=GOOD, headers=headers)) == (422, "malformed_request")
    assert count(engine, Proposal) == 0


@pytest.mark.parametrize("key", ["x" * 16, "~" * 200, "!\"#$%&'()*+,-./:"])
def test_the_shortest_and_the_longest_idempotency_key_are_good(client: TestClient, keys: Keys, key: str) -> None:
    """Sixteen to two hundred characters."""
    assert client.post("/proposals", json=GOOD, headers=with_key(keys["ada"], key)).status_code == 201


def test_who_is_unknown_is_told_so_first(client: TestClient, engine: Engine) -> None:
    """Before anything is said of the Idempotency-Key; nothing is kept."""
    assert code(client.post("/proposals", json={}, headers=with_key({}, "short"))) == (401, "api_key_missing")
    unknown = with_key({"X-API-Key": "nobody"})
    assert code(client.post("/proposals", json=GOOD, headers=unknown)) == (401, "api_key_unknown")
    assert count(engine, IdempotentRequest) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"premise": 7}', b'{"premise": NaN}', b"[" * 100_000])
def test_a_malformed_request_does_not_use_its_key_up(
    client: TestClient, engine: Engine, keys: Keys, body: bytes
) -> None:
    """Whoever mends it may send it with the same key."""
    sent = with_key(keys["ada"]) | {"Content-Type": "application/json"}
    assert code(client.post("/proposals", content=body, headers=sent)) == (422, "malformed_request")
    assert count(engine, IdempotentRequest) == 0
    assert client.post("/proposals", json=GOOD, headers=sent).status_code == 201


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b"1e999", b"NaN", b'"\\ud800"', b'{"a": 1, "a": 2}', b"\x00"],
    ids=lambda body: repr(body[:10]),
)
def test_a_body_that_nobody_asked_for_is_part_of_the_request(client: TestClient, keys: Keys, body: bytes) -> None:
    """Whatever it is: the same again is the same, none is another."""
    sent = with_key(keys["ada"])
    first, second = (client.post("/agents/me/heartbeat", content=body, headers=sent) for _ in range(2))
    assert first.status_code == 200
    assert whole(first) == whole(second)
    assert code(client.post("/agents/me/heartbeat", headers=sent)) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("failure", "status"), [(RuntimeError("a bug"), 500), (OperationalError("SELECT", {}, Exception("deadlock")), 503)]
)
def test_a_failure_keeps_nothing(
    client: TestClient, engine: Engine, keys: Keys, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int
) -> None:
    """Sent again, the request is tried again."""

    def fail(*_arguments: object) -> None:
        raise failure

    silent = TestClient(client.app, raise_server_exceptions=False)
    with monkeypatch.context() as broken:
        broken.setattr(proposals, "refuse_above_cap", fail)
        assert silent.post("/proposals", json=GOOD, headers=with_key(keys["ada"])).status_code == status
    assert count(engine, IdempotentRequest) == 0
    assert client.post("/proposals", json=GOOD, headers=with_key(keys["ada"])).status_code == 201


def test_a_constraint_that_no_rule_explains_is_a_bug_with_a_key_too(
    client: TestClient, engine: Engine, keys: Keys
) -> None:
    """It keeps its traceback, and nothing is kept of the request."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE proposals ADD CONSTRAINT ck_proposals_none CHECK (false)"))
    with pytest.raises(IntegrityError, match="ck_proposals_none"):
        client.post("/proposals", json=GOOD, headers=with_key(keys["ada"]))
    assert count(engine, IdempotentRequest) == 0


def test_a_failure_at_commit_keeps_nothing(client: TestClient, engine: Engine) -> None:
    """Nobody is given again what was never so."""
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE agents ADD CONSTRAINT once UNIQUE (created_at) DEFERRABLE INITIALLY DEFERRED")
        )
    silent = TestClient(client.app, raise_server_exceptions=False)
    assert silent.post("/agents", json={"username": "ada"}).status_code == 201
    sent = with_key({})
    assert silent.post("/agents", json={"username": "bob"}, headers=sent).status_code == 500
    assert count(engine, IdempotentRequest) == 0


def statements(engine: Engine, request: Callable[[], Any]) -> list[str]:
    """Return the statements of a request, each by its first word and its table, without the transaction's ends."""
    heard: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        words = statement.replace("\n", " ").split()
        after = {"SELECT": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE", "DELETE": "FROM"}.get(words[0])
        heard.append(f"{words[0]} {words[words.index(after) + 1]}" if after else words[0])

    event.listen(engine, "before_cursor_execute", listen)
    request()
    event.remove(engine, "before_cursor_execute", listen)
    return heard


def test_no_more_is_asked_of_the_database_than_is_needed(client: TestClient, engine: Engine, keys: Keys) -> None:
    """The refusal's rollback expires nothing that is read afterwards; a replay does not touch the service."""

    def request() -> Any:
        return client.post(f"/proposals/{NOTHING}/submit", headers=with_key(keys["ada"]))

    key = "idempotent_requests"
    first = ["SELECT agents", f"INSERT {key}", "SAVEPOINT", "SELECT proposals", "ROLLBACK", f"UPDATE {key}"]
    assert first == statements(engine, request)
    assert ["SELECT agents", f"INSERT {key}", f"SELECT {key}"] == statements(engine, request)


@pytest.fixture
def registering(clock: SimulatedClock, ids: SeededIds) -> Callable[..., Response]:
    """Registers ada in a session, once."""

    def registering(session: Session, request_sha256: str = "0" * 64) -> Response:
        def effect() -> RegisteredAgent:
            return registered_agent(*agents.register(session, clock, ids, "ada"))

        return Once(session, clock, ids, None, KEY, request_sha256)(201, effect)

    return registering


def test_of_two_that_arrive_together_one_has_the_effect(
    session: Session, registering: Callable[..., Response], start_blocked: StartBlocked
) -> None:
    """The second waits for the first, and gets its answer, API key and all."""
    first = registering(session)
    second = start_blocked(registering)
    session.commit()
    assert (first.status_code, first.body) == (second.result(timeout=10).status_code, second.result().body)
    assert session.execute(select(func.count()).select_from(Agent)).scalar_one() == 1


def test_where_the_first_is_undone_the_second_has_the_effect(
    session: Session, registering: Callable[..., Response], start_blocked: StartBlocked
) -> None:
    """The second waits for the first, and then is the first."""
    first = registering(session)
    second = start_blocked(registering)
    session.rollback()
    assert second.result(timeout=10).status_code == 201
    assert first.body != second.result().body
    assert str(session.scalars(select(Agent.id)).one()) == json.loads(second.result().body)["id"]


def test_where_the_first_is_refused_the_second_is_too(
    session: Session,
    register: Callable[[str], Agent],
    registering: Callable[..., Response],
    start_blocked: StartBlocked,
) -> None:
    """A refusal is committed like any answer."""
    register("Ada")
    first = registering(session)
    assert first.status_code == 409
    second = start_blocked(registering)
    session.commit()
    assert (409, first.body) == (second.result(timeout=10).status_code, second.result().body)


def test_another_request_with_the_key_waits_and_is_refused(
    session: Session, registering: Callable[..., Response], start_blocked: StartBlocked
) -> None:
    """Not before the first is committed: it may yet be undone."""
    registering(session)
    second = start_blocked(lambda own: registering(own, "1" * 64))
    session.commit()
    with pytest.raises(ApiError, match=r"^idempotency_key_reused"):
        second.result(timeout=10)


def test_two_agents_with_one_key_do_not_wait_for_each_other(
    session: Session, engine: Engine, clock: SimulatedClock, ids: SeededIds, register: Callable[[str], Agent]
) -> None:
    """Nor does an agent's next request, with another key."""
    ada, bob = register("ada"), register("bob")

    def beat(own: Session, agent: Agent, key: str) -> None:
        Once(own, clock, ids, agent, key, "0" * 64)(200, lambda: registered_agent(agent, ""))

    beat(session, ada, KEY)
    with Session(engine) as other:
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        beat(other, bob, KEY)
        beat(other, ada, OTHER_KEY)
        beat(other, ada, KEY[::-1])


def test_a_refusal_undoes_what_came_before_it(
    session: Session, clock: SimulatedClock, ids: SeededIds, register: Callable[[str], Agent]
) -> None:
    """What was written, what was changed and what was not yet sent to the database; the key is kept."""
    ada = register("ada")
    heard = ada.last_heartbeat_at
    clock.advance(timedelta(hours=1))

    def effect() -> RegisteredAgent:
        agents.register(session, clock, ids, "bob")
        agents.beat(session, clock, ada)
        ada.username = "eve"
        raise ApiError(ErrorCode.TOO_MANY_DWELLERS, "Enough.")

    answer = Once(session, clock, ids, ada, KEY, "0" * 64)(201, effect)
    session.commit()
    assert answer.status_code == 409
    assert ["ada"] == session.scalars(select(Agent.username)).all()
    assert (heard, "ada") == (ada.last_heartbeat_at, ada.username)
    kept = session.scalars(select(IdempotentRequest)).one()
    assert (409, ada.id) == (kept.status, kept.agent_id)
