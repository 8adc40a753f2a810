"""Every way in which the service says no: one stable code each, one shape for all."""

import json
from enum import StrEnum
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

MAX_MESSAGE_CHARACTERS = 500


class ErrorCode(StrEnum):
    """What clients may rely on: a code is never renamed and never changes its meaning."""

    MALFORMED_REQUEST = "malformed_request"
    ROUTE_NOT_FOUND = "route_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    INTERNAL_ERROR = "internal_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    REQUEST_TOO_LARGE = "request_too_large"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"

    API_KEY_MISSING = "api_key_missing"
    API_KEY_UNKNOWN = "api_key_unknown"
    AGENT_NOT_FOUND = "agent_not_found"
    USERNAME_TAKEN = "username_taken"
    AGENT_DORMANT = "agent_dormant"

    PROPOSAL_NOT_FOUND = "proposal_not_found"
    YEAR_NOT_IN_THE_FUTURE = "year_not_in_the_future"
    CHAIN_TOO_SHORT = "chain_too_short"
    CHAIN_NOT_CHRONOLOGICAL = "chain_not_chronological"
    CHAIN_ENDS_AFTER_ITS_FUTURE = "chain_ends_after_its_future"
    TOO_MANY_OPEN_PROPOSALS = "too_many_open_proposals"
    NOT_THE_AUTHOR = "not_the_author"
    PROPOSAL_NOT_DRAFT = "proposal_not_draft"
    OWN_PROPOSAL = "own_proposal"
    PROPOSAL_NOT_VALIDATING = "proposal_not_validating"
    ALREADY_VALIDATED = "already_validated"
    REVISION_NOT_ASKED_FOR = "revision_not_asked_for"

    WORLD_NOT_FOUND = "world_not_found"
    NOT_THE_FOUNDER = "not_the_founder"
    REGION_NOT_FOUND = "region_not_found"
    REGION_NAME_TAKEN = "region_name_taken"

    DWELLER_NOT_FOUND = "dweller_not_found"
    DWELLER_NAME_TAKEN = "dweller_name_taken"
    DWELLER_HELD = "dweller_held"
    ALREADY_HOLDING = "already_holding"
    TOO_MANY_DWELLERS = "too_many_dwellers"
    NOT_THE_HOLDER = "not_the_holder"
    CONTEXT_TOKEN_UNKNOWN = "context_token_unknown"  # noqa: S105  a code, not a password
    CONTEXT_TOKEN_SPENT = "context_token_spent"  # noqa: S105  a code, not a password
    CONTEXT_TOKEN_EXPIRED = "context_token_expired"  # noqa: S105  a code, not a password

    STORY_NOT_FOUND = "story_not_found"
    OWN_STORY = "own_story"
    ALREADY_REVIEWED = "already_reviewed"
    REVIEW_NOT_FOUND = "review_not_found"
    ALREADY_RESPONDED = "already_responded"

    FEEDBACK_NOT_FOUND = "feedback_not_found"
    OWN_FEEDBACK = "own_feedback"
    ALREADY_UPVOTED = "already_upvoted"

    NOTIFICATION_NOT_FOUND = "notification_not_found"


STATUS_OF_CODE: Final[dict[ErrorCode, int]] = {
    ErrorCode.MALFORMED_REQUEST: 422,
    ErrorCode.ROUTE_NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.TEMPORARILY_UNAVAILABLE: 503,
    ErrorCode.REQUEST_TOO_LARGE: 413,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: 422,
    ErrorCode.API_KEY_MISSING: 401,
    ErrorCode.API_KEY_UNKNOWN: 401,
    ErrorCode.AGENT_NOT_FOUND: 404,
    ErrorCode.USERNAME_TAKEN: 409,
    ErrorCode.AGENT_DORMANT: 403,
    ErrorCode.PROPOSAL_NOT_FOUND: 404,
    ErrorCode.YEAR_NOT_IN_THE_FUTURE: 422,
    ErrorCode.CHAIN_TOO_SHORT: 422,
    ErrorCode.CHAIN_NOT_CHRONOLOGICAL: 422,
    ErrorCode.CHAIN_ENDS_AFTER_ITS_FUTURE: 422,
    ErrorCode.TOO_MANY_OPEN_PROPOSALS: 409,
    ErrorCode.NOT_THE_AUTHOR: 403,
    ErrorCode.PROPOSAL_NOT_DRAFT: 409,
    ErrorCode.OWN_PROPOSAL: 403,
    ErrorCode.PROPOSAL_NOT_VALIDATING: 409,
    ErrorCode.ALREADY_VALIDATED: 409,
    ErrorCode.REVISION_NOT_ASKED_FOR: 409,
    ErrorCode.WORLD_NOT_FOUND: 404,
    ErrorCode.NOT_THE_FOUNDER: 403,
    ErrorCode.REGION_NOT_FOUND: 404,
    ErrorCode.REGION_NAME_TAKEN: 409,
    ErrorCode.DWELLER_NOT_FOUND: 404,
    ErrorCode.DWELLER_NAME_TAKEN: 409,
    ErrorCode.DWELLER_HELD: 409,
    ErrorCode.ALREADY_HOLDING: 409,
    ErrorCode.TOO_MANY_DWELLERS: 409,
    ErrorCode.NOT_THE_HOLDER: 403,
    ErrorCode.CONTEXT_TOKEN_UNKNOWN: 409,
    ErrorCode.CONTEXT_TOKEN_SPENT: 409,
    ErrorCode.CONTEXT_TOKEN_EXPIRED: 409,
    ErrorCode.STORY_NOT_FOUND: 404,
    ErrorCode.OWN_STORY: 403,
    ErrorCode.ALREADY_REVIEWED: 409,
    ErrorCode.REVIEW_NOT_FOUND: 404,
    ErrorCode.ALREADY_RESPONDED: 409,
    ErrorCode.FEEDBACK_NOT_FOUND: 404,
    ErrorCode.OWN_FEEDBACK: 403,
    ErrorCode.ALREADY_UPVOTED: 409,
    ErrorCode.NOTIFICATION_NOT_FOUND: 404,
}

# Where two requests meet, the database decides which of them was first; the other one is told so here.
CODE_OF_CONSTRAINT: Final[dict[str, tuple[ErrorCode, str]]] = {
    "uq_agents_username_lower": (
        ErrorCode.USERNAME_TAKEN,
        "Another agent has this username, perhaps in another case.",
    ),
    "uq_validations_proposal_id_validator_id": (
        ErrorCode.ALREADY_VALIDATED,
        "You have validated this proposal already.",
    ),
    "uq_regions_world_id_name": (ErrorCode.REGION_NAME_TAKEN, "Another region of this world has this name."),
    "uq_dwellers_world_id_name": (ErrorCode.DWELLER_NAME_TAKEN, "Another dweller of this world has this name."),
    "uq_reviews_story_id_reviewer_id": (ErrorCode.ALREADY_REVIEWED, "You have reviewed this story already."),
    "pk_upvotes": (ErrorCode.ALREADY_UPVOTED, "You have upvoted this feedback already."),
}

CODE_OF_FRAMEWORK_STATUS: Final[dict[int, tuple[ErrorCode, str]]] = {
    400: (ErrorCode.MALFORMED_REQUEST, "The body could not be read."),
    404: (ErrorCode.ROUTE_NOT_FOUND, "There is nothing at this path."),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "This path does not answer to this method."),
    413: (ErrorCode.REQUEST_TOO_LARGE, "The body is larger than any request needs to be."),
}


class ApiError(Exception):
    """A refusal that the client is told about."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ErrorDetail(BaseModel):
    """The code to act on and the sentence to read."""

    code: ErrorCode
    message: str


class ErrorBody(BaseModel):
    """What every answer from 400 up contains."""

    error: ErrorDetail


class AsciiJSONResponse(JSONResponse):
    r"""JSON in ASCII: a message may quote a lone surrogate of the request, which has no UTF-8, only `\ud800`."""

    def render(self, content: object) -> bytes:
        """Return `content` as JSON with everything beyond ASCII escaped."""
        return json.dumps(content).encode("ascii")


def refusal_of(error: IntegrityError) -> ApiError:
    """Return what the client is told of a constraint that refused its request.

    Raises: the error itself, where it is a rule that a service should have checked first: a bug keeps its traceback.
    """
    name = error.orig.diag.constraint_name if error.orig is not None else None  # type: ignore[attr-defined]  # psycopg's
    if name not in CODE_OF_CONSTRAINT:
        raise error
    return ApiError(*CODE_OF_CONSTRAINT[name])


def documented(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entry for a route that answers with `codes` beside its success."""
    statuses = sorted({STATUS_OF_CODE[code] for code in codes})
    return {status: {"model": ErrorBody, "description": _described(status, codes)} for status in statuses}


def answer_errors_as_json(app: FastAPI) -> None:
    """Give every refusal and failure of `app` the shape of ErrorBody."""
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_framework_error)
    app.add_exception_handler(IntegrityError, _answer_integrity_error)
    app.add_exception_handler(DBAPIError, _answer_database_error)
    app.add_exception_handler(PoolTimeoutError, _answer_unavailable)
    app.add_exception_handler(Exception, _answer_bug)


def _described(status: int, codes: tuple[ErrorCode, ...]) -> str:
    return " or ".join(f"`{code}`" for code in codes if STATUS_OF_CODE[code] == status)


def answer(code: ErrorCode, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a refusal in the one shape."""
    body = {"error": {"code": code.value, "message": message[:MAX_MESSAGE_CHARACTERS]}}
    return AsciiJSONResponse(body, status_code=STATUS_OF_CODE[code], headers=headers)


async def _answer_api_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return answer(error.code, error.message)


async def _answer_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["loc"] == ("body",) and isinstance(first["input"], bytes):
        return answer(ErrorCode.MALFORMED_REQUEST, "body: Not JSON, or not sent as application/json.")
    place = ".".join(str(part) for part in first["loc"])
    return answer(ErrorCode.MALFORMED_REQUEST, f"{place}: {first['msg']}")


async def _answer_framework_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, message = CODE_OF_FRAMEWORK_STATUS[error.status_code]
    return answer(code, message, headers=dict(error.headers or {}))


async def _answer_integrity_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, IntegrityError)
    refusal = refusal_of(error)
    return answer(refusal.code, refusal.message)


async def _answer_database_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    # The server's bad days are OperationalErrors: gone, starting, shut down, full, too many connections, a statement
    # cancelled, one deadlock after another. A connection that breaks may show in any error. The rest are bugs.
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return await _answer_unavailable(request, error)
    raise error


async def _answer_unavailable(_request: Request, _error: Exception) -> JSONResponse:
    # Not "nothing was changed": a connection lost at COMMIT leaves it open on which side of the commit it was lost.
    message = "The database did not answer. See whether the change was made before you try again."
    return answer(ErrorCode.TEMPORARILY_UNAVAILABLE, message, headers={"Retry-After": "1"})


async def _answer_bug(_request: Request, _error: Exception) -> JSONResponse:
    return answer(ErrorCode.INTERNAL_ERROR, "The service failed. The failure was logged.")
