"""Sending a request once more."""

import json
from collections.abc import Callable

from simulation.engine.harness import Answer
from simulation.engine.keys import KeyedRequest
from simulation.feedback.actions import FeedbackActions
from simulation.idempotency.model import IdempotencyModel


class IdempotencyActions(FeedbackActions):
    """Sending a request again under its key."""

    model: IdempotencyModel

    SOMETIMES = frozenset(
        {
            "an idempotent replay",
            "a refusal is replayed",
            "a registration is replayed",
            "a dormant agent gets an answer again",
        }
    )

    def send_again(self, request: KeyedRequest, *, written: Callable[[object], str] = json.dumps) -> Answer:
        """Send a request that was sent before, or what was made of it, under its key."""
        return self.send(
            request.method,
            request.path,
            client=request.client,
            key=request.api_key,
            body=request.body,
            written=written,
            idempotency_key=request.idempotency_key,
        )

    def an_answer_is_given_again(self, request: KeyedRequest, *, written: Callable[[object], str] = json.dumps) -> None:
        """Send a request again, check that its answer is the same to the letter, whatever has happened since.

        That nothing happens is seen by all invariants, as the model stays as it is.
        """
        answer = self.send_again(request, written=written)
        self.expect_equal("status and answer", (request.status, request.text), (answer.status, answer.text))
        self.sometimes("an idempotent replay", request.status < 400)
        self.sometimes("a refusal is replayed", request.status >= 400)
        self.sometimes("a registration is replayed", (request.path, request.status) == ("/agents", 201))
        asleep = request.api_key is not None and self.model.is_dormant(request.client)
        self.sometimes("a dormant agent gets an answer again", asleep)
