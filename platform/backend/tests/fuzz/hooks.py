"""What Schemathesis cannot know from the document: which requests it would never think of, and which it would repeat.

Schemathesis imports this in its own process.
"""

from itertools import count
from typing import Any, Final

import schemathesis

from fuzz.settlement import FUTURE

# Schemathesis tries each edge of a body with the shortest key that there is, always the same, and would be told each
# time but the first that the key was used for another request.
SHORTEST_KEY: Final = "0" * 16

_calls = count(1)


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Show one chain that leads somewhere: by chance alone, events are seldom enough and in order."""
    raw_schema["components"]["schemas"].get("DraftProposal", {})["example"] = FUTURE


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    """Send a new key where the shortest would be sent, but for every fourth time."""
    number = next(_calls)
    if number % 4 and case.headers and case.headers.get("Idempotency-Key") == SHORTEST_KEY:
        case.headers["Idempotency-Key"] = f"call-{number:011}"
