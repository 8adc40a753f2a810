"""Bugs around idempotency keys."""

import hashlib
from collections.abc import Callable
from typing import Any

from deepsci import idempotency
from deepsci.models import IdempotentRequest
from fastapi import FastAPI, Request
from sqlalchemy import Engine, select, text

from simulation.engine import planting as plant

# Found by the invariants.


@plant.found_by("I1")
def refusals_give_the_key_back(patch: plant.Patch) -> None:
    """What was refused may be tried again, somebody thought; an answer is kept only of what succeeded."""

    def answer(promise: idempotency.Once, status: int, effect: Callable[[], Any]) -> Any:
        response = original(promise, status, effect)
        if response.status_code >= 400 and promise.key is not None:
            promise.session.flush()
            promise.session.execute(text("DELETE FROM idempotent_requests WHERE status >= 400"))
        return response

    original = idempotency.Once.__call__
    patch.setattr(idempotency.Once, "__call__", answer)


@plant.found_by("I2")
def answers_are_not_sealed(patch: plant.Patch) -> None:
    """The seal was left out in development, where answers should be readable."""

    class NoSeal:
        def encrypt(self, _nonce: bytes, answer: bytes, _data: None) -> bytes:
            return answer

        def decrypt(self, _nonce: bytes, answer: bytes, _data: None) -> bytes:
            return answer

    patch.setattr(idempotency, "_seal", lambda _row_id, _key: NoSeal())


# Found by the forbidden moves.


@plant.found_by("reuse_a_key_for_another_body")
def blanks_make_no_difference(patch: plant.Patch) -> None:
    """However the JSON is laid out, and whatever blanks the texts in it have."""

    async def fingerprint(request: Request) -> str:
        body = b"".join((await request.body()).split())
        return hashlib.sha256(f"{request.method} {request.url}".encode() + body).hexdigest()

    compare_by(patch, fingerprint)


@plant.found_by("reuse_a_key_for_another_path")
def ids_make_no_difference(patch: plant.Patch) -> None:
    """The route is compared, not the path."""

    async def fingerprint(request: Request) -> str:
        route = f"{request.method} {request.scope['route'].path}"
        return hashlib.sha256(route.encode() + await request.body()).hexdigest()

    compare_by(patch, fingerprint)


def compare_by(patch: plant.Patch, fingerprint: Callable[[Request], Any]) -> None:
    """Let another fingerprint say which requests are the same."""
    patch.setattr(idempotency, "fingerprint", fingerprint)


@plant.found_by("send_a_malformed_key")
def keys_are_mended(patch: plant.Patch) -> None:
    """A kind proxy fills up what is too short and cuts what is too long."""

    def install(app: FastAPI, _engine: Engine) -> None:
        app.add_middleware(KeyMendingProxy)

    plant.on_each_application(patch, install)


class KeyMendingProxy:
    """ASGI middleware that brings keys to a length that is allowed."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        headers = [
            (name, value.ljust(16, b"-")[:200] if name == b"idempotency-key" else value)
            for name, value in scope.get("headers", ())
        ]
        await self.app(scope | {"headers": headers}, receive, send)


# Found by the races.


@plant.found_by_race("use_one_key_at_once")
@plant.found_by_race("register_with_one_key_at_once")
def idempotency_keys_are_looked_up_and_then_taken(patch: plant.Patch) -> None:
    """A request that was sent again before it was answered has its effect twice, or fails."""
    plant.execute_first(
        patch, "ALTER TABLE idempotent_requests DROP CONSTRAINT uq_idempotent_requests_agent_id_key_sha256"
    )

    def take(promise: idempotency.Once, key: str) -> Any:
        key_sha256 = idempotency._sha256(key)
        query = select(IdempotentRequest.id).where(
            IdempotentRequest.agent_id == promise._agent_id, IdempotentRequest.key_sha256 == key_sha256
        )
        if promise.session.scalar(query) is not None:
            return None
        taken = IdempotentRequest(
            id=promise.ids.new_uuid("idempotent-request"),
            agent_id=promise._agent_id,
            key_sha256=key_sha256,
            request_sha256=promise.request_sha256,
            created_at=promise.clock.now(),
        )
        promise.session.add(taken)
        promise.session.flush()
        return taken

    patch.setattr(idempotency.Once, "_take", take)
