"""The OpenAPI document says everything that a client can meet: each status, each header, each next page."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import Mock

import pytest
from deepsci.agents.authentication import authenticate
from deepsci.clock import SystemClock
from deepsci.database import make_engine
from deepsci.errors import STATUS_OF_CODE, ErrorCode
from deepsci.idempotency import once, once_for_anyone
from deepsci.ids import SystemIds
from deepsci.main import create_app
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

ERROR_BODY: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}

# Answered before a route is found, or when something is broken: no operation promises them.
OF_NO_OPERATION: Final = {ErrorCode.ROUTE_NOT_FOUND, ErrorCode.METHOD_NOT_ALLOWED, ErrorCode.INTERNAL_ERROR}

# What the rules forbid, in the order in which it is refused. An operation that is not here forbids nothing.
FORBIDDEN: Final = {
    "POST /agents": "username_taken",
    "POST /proposals": "agent_dormant too_many_open_proposals",
    "POST /proposals/{proposal_id}/submit": "agent_dormant not_the_author proposal_not_draft",
    "POST /proposals/{proposal_id}/revise": (
        "agent_dormant not_the_author proposal_not_validating revision_not_asked_for"
    ),
    "POST /proposals/{proposal_id}/validations": (
        "agent_dormant own_proposal proposal_not_validating already_validated"
    ),
    "POST /worlds/{world_id}/regions": "not_the_founder region_name_taken",
    "POST /worlds/{world_id}/dwellers": "not_the_founder dweller_name_taken",
    "POST /dwellers/{dweller_id}/claim": "agent_dormant already_holding dweller_held too_many_dwellers",
    "POST /dwellers/{dweller_id}/release": "not_the_holder",
    "POST /dwellers/{dweller_id}/context": "agent_dormant not_the_holder",
    "POST /dwellers/{dweller_id}/actions": (
        "agent_dormant not_the_holder context_token_unknown context_token_spent context_token_expired"
    ),
    "POST /worlds/{world_id}/stories": "not_the_holder",
    "POST /stories/{story_id}/reviews": "own_story already_reviewed",
    "POST /reviews/{review_id}/response": "not_the_author already_responded",
    "POST /feedback/{feedback_id}/upvotes": "own_feedback already_upvoted",
}
# What a body names beside the path.
NAMED_IN_BODIES: Final = {
    "POST /worlds/{world_id}/dwellers": {"region_not_found"},
    "POST /worlds/{world_id}/stories": {"dweller_not_found"},
    "POST /notifications/read": {"notification_not_found"},
}


@dataclass(frozen=True)
class Operation:
    """One method of one path: the route that answers it, and what the document says of it."""

    method: str
    path: str
    route: APIRoute
    documented: dict[str, Any]

    @property
    def name(self) -> str:
        """The name by which one speaks of it."""
        return f"{self.method} {self.path}"

    @property
    def responses(self) -> dict[str, Any]:
        """What is documented of each status."""
        responses: dict[str, Any] = self.documented["responses"]
        return responses

    @property
    def success(self) -> str:
        """The one status of its success."""
        (status,) = (status for status in self.responses if int(status) < 400)
        return status

    @property
    def parameters(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The documented parameters by place and name."""
        return {(each["in"], each["name"]): each for each in self.documented.get("parameters", [])}

    def codes(self, *statuses: int) -> set[str]:
        """Return the documented error codes of some statuses."""
        described = " ".join(
            self.responses[str(status)]["description"] for status in statuses if str(status) in self.responses
        )
        return set(re.findall(r"`(\w+)`", described))

    def asks(self, *dependencies: Callable[..., Any]) -> bool:
        """Return whether the route depends on one of these."""
        return any(call in dependencies for call in calls(self.route.dependant))


def calls(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    """Yield everything that a route depends on."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from calls(dependency)


# Connects to nothing: only its routes and its document are looked at.
APP: Final = create_app(make_engine("postgresql://nobody@127.0.0.1:1/nowhere"), SystemClock(), SystemIds())
DOCUMENT: Final = APP.openapi()
OPERATIONS: Final = [
    Operation(method, str(context.path), context.original_route, DOCUMENT["paths"][context.path][method.lower()])
    for context in iter_route_contexts(APP.routes)
    if isinstance(context.original_route, APIRoute)
    for method in sorted(context.methods or ())
]
POSTS: Final = [operation for operation in OPERATIONS if operation.method == "POST"]


def of(operations: list[Operation]) -> pytest.MarkDecorator:
    """Run a test for each of these operations, under its name."""
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.name)


def properties(operation: Operation) -> dict[str, Any]:
    """Return the fields of an operation's success."""
    schema = operation.responses[operation.success]["content"]["application/json"]["schema"]
    fields: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
    return fields


def lists() -> list[Operation]:
    """Return the operations that read a list: what stands at its path is several, and its answer has an array."""
    gets = (each for each in OPERATIONS if each.method == "GET" and not each.path.endswith("}"))
    return [each for each in gets if any(field.get("type") == "array" for field in properties(each).values())]


def test_the_document_has_the_routes_and_nothing_else() -> None:
    """No route is hidden."""
    documented = {f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item}
    assert documented == {operation.name for operation in OPERATIONS}


def test_the_tables_name_operations_and_codes_that_there_are() -> None:
    """Or a row of theirs would say nothing."""
    names = {operation.name for operation in OPERATIONS}
    assert names >= FORBIDDEN.keys() | NAMED_IN_BODIES.keys()
    codes = {code for row in FORBIDDEN.values() for code in row.split()} | set().union(*NAMED_IN_BODIES.values())
    assert codes <= {code.value for code in ErrorCode}


def test_every_code_is_documented_somewhere() -> None:
    """Except those that no operation answers with."""
    documented = {code for operation in OPERATIONS for code in operation.codes(*map(int, operation.responses))}
    assert {code.value for code in set(ErrorCode) - OF_NO_OPERATION} == documented


@of(OPERATIONS)
def test_every_operation_says_what_it_does(operation: Operation) -> None:
    """In a title and in a sentence."""
    assert operation.documented["summary"]
    assert operation.documented["description"].rstrip().endswith(".")


def test_every_operation_has_an_id_of_its_own() -> None:
    """Clients are generated from it."""
    ids = [operation.documented["operationId"] for operation in OPERATIONS]
    assert len(ids) == len(set(ids))


@of(OPERATIONS)
def test_every_refusal_has_the_common_shape(operation: Operation) -> None:
    """And stands at the status of each of its codes."""
    for status, response in operation.responses.items():
        if int(status) >= 400:
            assert response["content"] == ERROR_BODY
            codes = operation.codes(int(status))
            assert codes
            assert {int(status)} == {STATUS_OF_CODE[ErrorCode(code)] for code in codes}


@of(OPERATIONS)
def test_every_success_has_a_schema(operation: Operation) -> None:
    """Also where the endpoint returns a finished response."""
    assert properties(operation)


@of(OPERATIONS)
def test_the_database_may_be_away(operation: Operation) -> None:
    """From every operation."""
    assert operation.codes(503) == {"temporarily_unavailable"}


@of(OPERATIONS)
def test_who_is_asked_for_a_key_may_lack_it(operation: Operation) -> None:
    """And who is not asked for one is not told to send one."""
    asked = operation.asks(authenticate)
    assert operation.codes(401) == ({"api_key_missing", "api_key_unknown"} if asked else set())
    assert asked == ("security" in operation.documented)


@of(OPERATIONS)
def test_what_is_named_may_not_be_there(operation: Operation) -> None:
    """One code for each id in the path, and for what the body names."""
    named = {f"{name}_not_found" for name in re.findall(r"{(\w+)_id}", operation.path)}
    assert operation.path.count("{") == len(named)
    assert operation.codes(404) == named | NAMED_IN_BODIES.get(operation.name, set())


@of(OPERATIONS)
def test_what_can_be_malformed_may_be_refused(operation: Operation) -> None:
    """Wherever there is a parameter or a body, and nowhere else."""
    takes_something = bool(operation.parameters) or "requestBody" in operation.documented
    assert takes_something == ("malformed_request" in operation.codes(422))


@of(OPERATIONS)
def test_what_the_rules_forbid_is_documented(operation: Operation) -> None:
    """Each 403 and each 409, and none that cannot be."""
    assert operation.codes(403, 409) == set(FORBIDDEN.get(operation.name, "").split())


@of(POSTS)
def test_every_post_may_be_sent_again(operation: Operation) -> None:
    """It takes an Idempotency-Key, and gives its effect and its one status to who keeps the promise."""
    assert operation.asks(once, once_for_anyone)
    assert ("header", "Idempotency-Key") in operation.parameters
    assert {"malformed_request", "idempotency_key_reused"} <= operation.codes(422)
    assert operation.codes(413) == {"request_too_large"}
    promise = Mock()
    arguments = {name: Mock() for name in inspect.signature(operation.route.endpoint).parameters}
    answer = operation.route.endpoint(**arguments | {"once": promise})
    assert answer is promise.return_value
    ((status, effect),) = (call.args for call in promise.call_args_list)
    assert (str(status), True) == (operation.success, callable(effect))


@of([operation for operation in OPERATIONS if operation.method != "POST"])
def test_whatever_is_no_post_is_read_without_effect(operation: Operation) -> None:
    """It takes no Idempotency-Key and no body."""
    assert operation.method == "GET"
    assert not operation.asks(once, once_for_anyone)
    assert ("header", "Idempotency-Key") not in operation.parameters
    assert "requestBody" not in operation.documented


@of(lists())
def test_every_list_has_a_next_page(operation: Operation) -> None:
    """By a cursor or by a number, with the parameter that takes it."""
    fields = properties(operation)
    (following,) = (name for name in fields if name.startswith("next_"))
    assert ("query", following.removeprefix("next_")) in operation.parameters
    assert ("query", "limit") in operation.parameters
    assert {"null"} < {option["type"] for option in fields[following]["anyOf"]}


def test_only_lists_have_pages() -> None:
    """Whatever takes a limit is one, so that none was overlooked."""
    assert lists() == [operation for operation in OPERATIONS if ("query", "limit") in operation.parameters]
