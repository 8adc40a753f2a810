"""Dwellers and what they do, good and bad."""

from collections.abc import Callable
from typing import Any, Final

from simulation.dwellers.model import ClaimModel, Place

# Few enough that they keep meeting, and more than one agent may hold; a letter in another case is another name.
DWELLER_NAMES: Final = ("Ilse", "ilse", "Teo", "'; DROP TABLE claims; --", "e\u0301", " \u00e9\n", "I" * 100)

# What is wrong with the body that adds a dweller, and how a good one is spoilt that way.
SPOILT_DWELLERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "no body": lambda _body: None,
    "nothing but a list": lambda body: [body],
    "no persona": lambda body: {key: body[key] for key in ("region_id", "name")},
    "a blank name": lambda body: body | {"name": " \n"},
    "a name beyond 100 characters": lambda body: body | {"name": "I" * 101},
    "a name with a NUL": lambda body: body | {"name": "I\x00lse"},
    "a number for a name": lambda body: body | {"name": 7},
    "a persona beyond 2000 characters": lambda body: body | {"persona": "a" * 2001},
    "a persona with half a character": lambda body: body | {"persona": "a\ud800b"},
    "a region that is no id": lambda body: body | {"region_id": "here"},
    "a field nobody knows": lambda body: body | {"action_count": 3},
}

# The same of the body that lets a dweller act.
SPOILT_DEEDS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "no body": lambda _body: None,
    "no token": lambda body: {"deed": body["deed"]},
    "an empty token": lambda body: body | {"context_token": ""},
    "a token beyond 200 characters": lambda body: body | {"context_token": "t" * 201},
    "a number for a token": lambda body: body | {"context_token": 7},
    "no deed": lambda body: {"context_token": body["context_token"]},
    "a blank deed": lambda body: body | {"deed": "\t"},
    "a deed beyond 2000 characters": lambda body: body | {"deed": "a" * 2001},
    "a deed with a NUL": lambda body: body | {"deed": "a\x00b"},
    "a field nobody knows": lambda body: body | {"number": 1},
}


def free_places(model: ClaimModel) -> list[Place]:
    """Return the names that no dweller of the region's world bears."""
    return model.places(*DWELLER_NAMES)
