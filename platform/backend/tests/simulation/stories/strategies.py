"""Stories, reviews and responses, good and bad."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from simulation.engine.choosing import made
from simulation.engine.prose import prose
from simulation.stories.model import Judgement, Tale

TALES: Final = made(
    Tale, st.one_of(prose(), st.just("T" * 200)), st.one_of(prose(), prose(), prose(), st.just("t" * 20_000))
)
JUDGEMENTS: Final = made(Judgement, st.sampled_from([1, 2, 3, 4, 5]), st.booleans(), prose())

# What is wrong with the body of a story, and how a good one is spoilt that way.
SPOILT_TALES: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "no body": lambda _body: None,
    "no dweller": lambda body: {"title": body["title"], "text": body["text"]},
    "a dweller by name": lambda body: body | {"dweller_id": "d1"},
    "no title": lambda body: {"dweller_id": body["dweller_id"], "text": body["text"]},
    "a blank title": lambda body: body | {"title": " \n"},
    "a title beyond 200 characters": lambda body: body | {"title": "T" * 201},
    "a title with a NUL": lambda body: body | {"title": "a\x00b"},
    "a text that is a list": lambda body: body | {"text": [body["text"]]},
    "a text with half a character": lambda body: body | {"text": "a\ud800b"},
    "a text beyond 20000 characters": lambda body: body | {"text": "t" * 20_001},
    "a field nobody knows": lambda body: body | {"acclaimed_at": "2026-01-01T00:00:00Z"},
}

SPOILT_REVIEWS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "no body": lambda _body: None,
    "no score": lambda body: {"recommends": body["recommends"], "text": body["text"]},
    "a score of nothing": lambda body: body | {"score": 0},
    "a score beyond five": lambda body: body | {"score": 6},
    "a score beyond 64 bits": lambda body: body | {"score": 2**64},
    "the score as text": lambda body: body | {"score": str(body["score"])},
    "half a point": lambda body: body | {"score": 3.5},
    "a score that is true": lambda body: body | {"score": True},
    "no recommendation": lambda body: {"score": body["score"], "text": body["text"]},
    "a recommendation in words": lambda body: body | {"recommends": "yes"},
    "a recommendation in numbers": lambda body: body | {"recommends": 1},
    "no text": lambda body: {"score": body["score"], "recommends": body["recommends"]},
    "a blank text": lambda body: body | {"text": "\t"},
    "a text beyond 2000 characters": lambda body: body | {"text": "a" * 2001},
    "a field nobody knows": lambda body: body | {"response": "Thank you."},
}

SPOILT_RESPONSES: Final[dict[str, Any]] = {
    "no body": None,
    "no text": {},
    "a blank text": {"text": "\n"},
    "a text with a NUL": {"text": "a\x00b"},
    "a text beyond 2000 characters": {"text": "a" * 2001},
    "a field nobody knows": {"text": "Well.", "recommends": True},
}
