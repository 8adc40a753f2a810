"""deepsci.errors: every refusal and failure has one shape."""

import json
from collections.abc import Iterator

import pytest
from deepsci import errors
from deepsci.agents import service as agents
from deepsci.body_limit import MAX_BODY_BYTES
from deepsci.clock import SystemClock
from deepsci.database import make_engine
from deepsci.errors import STATUS_OF_CODE, ErrorCode
from deepsci.ids import SystemIds
from deepsci.main import create_app
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

DEEPLY_NESTED = b'{"username": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def test_every_code_has_a_status() -> None:
    """Whoever adds a code says what it is answered with."""
    assert set(ErrorCode) == set(STATUS_OF_CODE)


def test_an_unknown_path_is_not_found_in_the_common_shape(client: TestClient) -> None:
    """Not the framework's own `detail`."""
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": "route_not_found", "message": "There is nothing at this path."}}


def test_a_slash_too_many_is_an_unknown_path(client: TestClient) -> None:
    """There is one address for everything, and no redirects."""
    assert client.get("/agents/", follow_redirects=False).status_code == 404


def test_an_unknown_method_is_refused_with_those_that_exist(client: TestClient) -> None:
    """The header Allow survives the common shape."""
    answer = client.delete("/agents")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"username": "\xff"}',
        b'{"username": NaN}',
        b'{"username": ' + b"9" * 5000 + b"}",
        b'{"username": 1e999999}',
        b'{"username": "ada", "\\ud800": 1}',
        b'{"username": "\\ud800"}',
        b'{"username": "ada\\u0000"}',
        DEEPLY_NESTED,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_whatever_is_no_request_is_malformed(client: TestClient, body: bytes) -> None:
    """Never a 500, and always readable as JSON in UTF-8."""
    answer = client.post("/agents", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_request")
    assert set(answer.json()["error"]) == {"code", "message"}


def test_a_body_that_is_not_sent_as_json_is_malformed(client: TestClient) -> None:
    """A form is not a request."""
    answer = client.post("/agents", data={"username": "ada"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed_request")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"{", "application/json"), (b"\xff", "application/json"), (DEEPLY_NESTED, "application/json"), (b"{}", "a/b")],
    ids=lambda value: repr(value[:20]),
)
def test_the_key_is_asked_for_before_the_body_is_looked_at(client: TestClient, body: bytes, content_type: str) -> None:
    """On every route that needs one, whatever is sent and whatever the path names."""
    asked = [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        for method, operation in operations.items()
        if "security" in operation
    ]
    assert ("POST", "/proposals/proposal_id/revise") in asked
    headers = {"Content-Type": content_type, "Idempotency-Key": "short"}
    for method, path in asked:
        answer = client.request(method, path, content=body, headers=headers)
        assert (method, path, 401, "api_key_missing") == (
            method,
            path,
            answer.status_code,
            answer.json()["error"]["code"],
        )


@pytest.mark.parametrize("path", ["/agents", "/agents/me/heartbeat", "/nowhere"])
def test_a_body_that_says_it_is_too_large_is_refused_at_once(client: TestClient, path: str) -> None:
    """By its Content-Length, in the common shape, wherever it is sent."""
    answer = client.post(path, content=b"[" + b" " * MAX_BODY_BYTES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/agents", "/agents/me/heartbeat"])
def test_a_body_that_turns_out_too_large_is_refused(
    client: TestClient, keys: dict[str, dict[str, str]], path: str
) -> None:
    """Where it does not say how large it is."""

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b" " * (MAX_BODY_BYTES // 10)

    answer = client.post(path, content=chunks(), headers=keys["ada"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_the_largest_body_is_read(client: TestClient) -> None:
    """A mebibyte to the byte."""
    body = b'{"username": "ada"}'
    headers = {"Content-Type": "application/json"}
    assert client.post("/agents", content=body.ljust(MAX_BODY_BYTES), headers=headers).status_code == 201
    assert client.post("/agents", content=body.ljust(MAX_BODY_BYTES + 1), headers=headers).status_code == 413


@pytest.mark.parametrize("length", [b"", b"-1", b"x", b"1_0", b"9" * 5000])
def test_a_length_that_is_none_does_no_harm(client: TestClient, length: bytes) -> None:
    """A server in front refuses it; what arrives is counted."""
    answer = client.post("/agents", content=b"{}", headers={b"Content-Length": length})
    assert answer.status_code in {413, 422}


def test_a_message_does_not_repeat_a_long_field_in_full(client: TestClient) -> None:
    """A refusal is shorter than what it refuses."""
    answer = client.post("/agents", json={"username": "ada", "x" * 10_000: 1})
    assert len(answer.json()["error"]["message"]) == errors.MAX_MESSAGE_CHARACTERS


def test_a_database_that_is_away_is_not_a_bug() -> None:
    """503, with a hint when to come back."""
    engine = make_engine("postgresql://nobody@127.0.0.1:1/nowhere")
    answer = TestClient(create_app(engine, SystemClock(), SystemIds())).get("/agents")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_a_bug_is_answered_in_the_common_shape_and_raised(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client learns nothing about the inside; the log gets the traceback."""

    def broken(*_arguments: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(agents, "newest_agents", broken)
    with pytest.raises(RuntimeError, match="a secret of the inside"):
        client.get("/agents")
    silent = TestClient(client.app, raise_server_exceptions=False).get("/agents")
    assert silent.status_code == 500
    assert json.loads(silent.content)["error"]["code"] == "internal_error"
    assert "secret" not in silent.text


def test_a_constraint_that_no_rule_explains_is_a_bug(client: TestClient, engine: Engine) -> None:
    """A service should have refused first; the client is not told that it did something wrong."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE agents ADD CONSTRAINT ck_agents_nobody CHECK (false)"))
    answer = TestClient(client.app, raise_server_exceptions=False).post("/agents", json={"username": "ada"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")


def test_a_failure_at_commit_is_answered_as_a_failure(client: TestClient, engine: Engine) -> None:
    """The answer leaves after the commit: nobody is told of an agent that is not there."""
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE agents ADD CONSTRAINT once UNIQUE (created_at) DEFERRABLE INITIALLY DEFERRED")
        )
    silent = TestClient(client.app, raise_server_exceptions=False)
    assert silent.post("/agents", json={"username": "ada"}).status_code == 201
    assert silent.post("/agents", json={"username": "bob"}).status_code == 500
    assert [agent["username"] for agent in silent.get("/agents").json()["agents"]] == ["ada"]


def test_the_openapi_document_has_every_error_in_the_common_shape(client: TestClient) -> None:
    """FastAPI's own validation error appears nowhere."""
    document = client.get("/openapi.json").json()
    refusals = [
        response["content"]["application/json"]["schema"]["$ref"]
        for path in document["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    ]
    assert {"#/components/schemas/ErrorBody"} == set(refusals)
