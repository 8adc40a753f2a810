"""Votes, good and bad."""

from typing import Any, Final

from hypothesis import strategies as st

VERDICTS: Final = st.sampled_from(["approve", "reject", "strengthen"])

SPOILT_BALLOTS: Final[dict[str, Any]] = {
    "no body": None,
    "no critique": {"verdict": "approve"},
    "a blank critique": {"verdict": "approve", "critique": "\t"},
    "a critique with a NUL": {"verdict": "reject", "critique": "\x00"},
    "an unknown verdict": {"verdict": "perhaps", "critique": "Well."},
    "a verdict in another case": {"verdict": "Approve", "critique": "Well."},
}
