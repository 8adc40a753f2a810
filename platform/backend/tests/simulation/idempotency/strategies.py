"""Requests that were sent already, and keys, good and bad."""

import json
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from hypothesis.strategies import SearchStrategy

from simulation.engine.choosing import chosen
from simulation.engine.keys import AN_ID, Keyed
from simulation.idempotency.model import IdempotencyModel

# The same JSON, written in another way.
LAYOUTS: Final[dict[str, Callable[[object], str]]] = {
    "the keys the other way round": lambda body: json.dumps(_turned(body)),
    "on many lines": lambda body: json.dumps(body, indent=2),
    "without blanks": lambda body: json.dumps(body, separators=(",", ":")),
    "every character as itself": lambda body: json.dumps(body, ensure_ascii=False),
}

# What is asked for instead, as well formed as what was asked for the first time.
OTHER_WORDS: Final[dict[str, Any]] = {
    "username": "somebody-else",
    "premise": "Something else.",
    "critique": "Something else.",
    "description": "Something else.",
    "persona": "Something else.",
    "context_token": "something-else",
    "text": "Something else.",
    "up_to": 2**31 - 2,  # one less than the greatest, which a move sends
}
PROSE: Final = ("premise", "critique", "description", "persona", "deed", "text")
SHORT: Final = 400  # characters, so that a blank more is not one too many
OTHER_BODIES: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "other words": lambda body: body | {field: words for field, words in OTHER_WORDS.items() if field in body},
    "a blank more": lambda body: body | (_with_a_blank_more(body) or OTHER_BODIES["other words"](body)),
}
OTHER_ID: Final = str(UUID(int=1))
OTHER_PATHS: Final[dict[str, Callable[[str], str]]] = {
    "a query": lambda path: f"{path}?again=1",
    "another id": lambda path: AN_ID.sub(OTHER_ID, path) if AN_ID.search(path) else OTHER_PATHS["a query"](path),
}

# What anybody may ask for at any time.
PLAIN_REQUESTS: Final[tuple[tuple[str, Any], ...]] = (
    ("/feedback", {"text": "Plain."}),
    ("/agents/me/heartbeat", None),
    ("/agents", {"username": "somebody-else"}),
)
MALFORMED_KEYS: Final = ("", "a" * 15, "a" * 201, "sixteen and blanks", "sixteen-and-a-tab\t-", "sixteen-and-an-é")
KEYS_AT_THE_LIMITS: Final = ("~" * 16, "!" * 200)


def fresh_keys_at_the_limits(model: IdempotencyModel) -> list[Keyed]:
    """Return every agent with the shortest and the longest key, unless it has used it."""
    keys = [Keyed(agent, key) for agent in model.agents for key in KEYS_AT_THE_LIMITS]
    return [keyed for keyed in keys if keyed not in model.keyed_requests]


def keyed_requests() -> SearchStrategy[Keyed]:
    """Draw a request that was sent with a key; its kind first, so that each is as likely."""
    return chosen(IdempotencyModel.keyed_by_kind).flatmap(
        lambda kind: chosen(lambda model: model.keyed_by_kind()[kind])
    )


def _with_a_blank_more(body: dict[str, Any]) -> dict[str, str]:
    return {field: f"{body[field]} " for field in PROSE if len(body.get(field, "")) in range(1, SHORT)}


def _turned(body: object) -> object:
    if isinstance(body, dict):
        return {key: _turned(body[key]) for key in reversed(body)}
    return [_turned(part) for part in body] if isinstance(body, list) else body
