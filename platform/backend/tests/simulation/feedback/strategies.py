"""Feedback that is none."""

from typing import Any, Final

SPOILT_FEEDBACK: Final[dict[str, Any]] = {
    "no body": None,
    "no text": {},
    "text that is a number": {"text": 7},
    "a blank text": {"text": " \n\t"},
    "a text with a NUL": {"text": "a\x00b"},
    "a text with half a character": {"text": "a\ud800b"},
    "a text beyond 2000 characters": {"text": "a" * 2001},
    "a field nobody knows": {"text": "Well.", "upvote_count": 7},
}
