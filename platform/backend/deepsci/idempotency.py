"""POST once: a request with an Idempotency-Key has its effect once and gets the same answer every time.

The key is taken by the first statement that the request writes with, under a unique constraint: of two that arrive
together the second waits there until the first has committed its effect and its answer, or has undone both. A refusal
is an answer too. What never reached a service (a malformed request, an unknown agent) is not kept, nor is a failure.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from deepsci.agents.authentication import CurrentAgent
from deepsci.clock import Clock
from deepsci.dependencies import clock_of, ids_of, session_of
from deepsci.errors import ApiError, ErrorCode, answer, refusal_of
from deepsci.ids import IdSource
from deepsci.models import Agent, IdempotentRequest

NONCE: Final = bytes(12)  # may be the same each time: each answer is sealed with a key of its own

# Made once, as every POST with a key executes it: to make it takes as long as to execute it.
TAKE_KEY: Final = (
    insert(IdempotentRequest)
    .on_conflict_do_nothing(index_elements=["agent_id", "key_sha256"])
    .returning(IdempotentRequest)
    .execution_options(render_nulls=True)  # the same statement where there is no agent
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{16,200}$",
        description="Sent again with the same body, a request has no second effect and the same answer. Nobody else "
        "may guess it, as it opens the answer: a random UUID is right.",
    ),
]


async def fingerprint(request: Request) -> str:
    """Return the SHA-256 of a request: its method, its path and query, and its body, however its JSON is laid out."""
    body = await request.body()
    try:
        canonical = json.dumps(json.loads(body), sort_keys=True).encode()
    except (ValueError, RecursionError):  # no JSON, or none that will be answered
        canonical = body
    target = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(target + canonical).hexdigest()


@dataclass(frozen=True)
class Once:
    """A request's promise to have its effect once; without a key it is kept by the client alone."""

    session: Session
    clock: Clock
    ids: IdSource
    agent: Agent | None
    key: str | None
    request_sha256: str

    def __call__(self, status: int, effect: Callable[[], BaseModel]) -> Response:
        """Return the answer that was kept under the key, else have the effect, and keep and return its answer.

        Raises: ApiError `idempotency_key_reused`, when the key was used for another request; without a key also what
        `effect` raises.
        """
        if self.key is None:
            return _as_json(status, _rendered(effect))
        taken = self._take(self.key)
        if taken is None:
            return self._kept_answer(self.key)
        response = self._answer(status, effect)
        taken.status = response.status_code
        taken.sealed_answer = _seal(taken.id, self.key).encrypt(NONCE, bytes(response.body), None)
        return response

    def _take(self, key: str) -> IdempotentRequest | None:
        """Return the new row of the key, or None where the key is taken, once the transaction that took it is over."""
        row = {
            "id": self.ids.new_uuid("idempotent-request"),
            "agent_id": self._agent_id,
            "key_sha256": _sha256(key),
            "request_sha256": self.request_sha256,
            "created_at": self.clock.now(),
        }
        return self.session.scalars(TAKE_KEY, row).one_or_none()

    def _kept_answer(self, key: str) -> Response:
        """Return the answer that was kept under the key.

        Raises: ApiError `idempotency_key_reused`.
        """
        # `==` becomes IS NULL where there is no agent, and either way the index of the constraint is used.
        query = select(IdempotentRequest).where(
            IdempotentRequest.agent_id == self._agent_id, IdempotentRequest.key_sha256 == _sha256(key)
        )
        kept = self.session.scalars(query).one()
        if kept.request_sha256 != self.request_sha256:
            raise ApiError(ErrorCode.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key was used for another request.")
        assert kept.status is not None, "a request was committed without its answer"
        assert kept.sealed_answer is not None, "a request was committed without its answer"
        return _as_json(kept.status, _seal(kept.id, key).decrypt(NONCE, kept.sealed_answer, None))

    def _answer(self, status: int, effect: Callable[[], BaseModel]) -> Response:
        try:
            with self.session.begin_nested():  # a refusal undoes what came before it, and keeps the key
                return _as_json(status, _rendered(effect))
        except ApiError as error:
            refusal = error
        except IntegrityError as error:
            refusal = refusal_of(error)
        return answer(refusal.code, refusal.message)

    @property
    def _agent_id(self) -> UUID | None:
        return self.agent.id if self.agent is not None else None


def _seal(row_id: UUID, key: str) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hashlib.sha256(b"deepsci idempotent answer" + row_id.bytes + key.encode()).digest())


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _rendered(effect: Callable[[], BaseModel]) -> bytes:
    return effect().model_dump_json().encode()


def _as_json(status: int, body: bytes) -> Response:
    return Response(body, status_code=status, media_type="application/json")


# They take from the request what endpoints ask FastAPI for: it goes through each dependency wherever one is named, with
# all that it depends on, and that was a tenth of a request.
async def once(request: Request, agent: CurrentAgent, key: IdempotencyKey = None) -> Once:
    """Return the promise to the agent that is asking."""
    return await _once(request, agent, key)


async def once_for_anyone(request: Request, key: IdempotencyKey = None) -> Once:
    """Return the promise to who is no agent yet."""
    return await _once(request, None, key)


async def _once(request: Request, agent: Agent | None, key: str | None) -> Once:
    session, clock, ids = await session_of(request), await clock_of(request), await ids_of(request)
    return Once(session, clock, ids, agent, key, await fingerprint(request))


RequestOnce = Annotated[Once, Depends(once)]
RequestOnceForAnyone = Annotated[Once, Depends(once_for_anyone)]
POST_CODES = (ErrorCode.MALFORMED_REQUEST, ErrorCode.IDEMPOTENCY_KEY_REUSED, ErrorCode.REQUEST_TOO_LARGE)
