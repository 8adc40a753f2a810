"""Regions, good and bad."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from simulation.worlds.model import RegionModel, Site

# A letter in another case is another name; of the greatest length, and one that looks like another.
REGION_NAMES: Final = (
    "The shore",
    "the shore",
    "The shore ",
    "'; DROP TABLE regions; --",
    "\u00e9",
    "e\u0301",
    "S" * 100,
)

# What is wrong with the body that adds a region, and how a good one is spoilt that way.
SPOILT_REGIONS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "no body": lambda _body: None,
    "nothing but a list": lambda body: [body],
    "no name": lambda body: {"description": body["description"]},
    "a blank name": lambda body: body | {"name": " \n"},
    "a name beyond 100 characters": lambda body: body | {"name": "S" * 101},
    "a name with a NUL": lambda body: body | {"name": "S\x00"},
    "a number for a name": lambda body: body | {"name": 7},
    "no description": lambda body: {"name": body["name"]},
    "a description beyond 2000 characters": lambda body: body | {"description": "a" * 2001},
    "a description with half a character": lambda body: body | {"description": "a\ud800b"},
    "a field nobody knows": lambda body: body | {"id": "mine"},
}


class Plot(NamedTuple):
    """A world with its founder, and what a region may be called there."""

    site: Site
    name: str


def free_plots(model: RegionModel) -> list[Plot]:
    """Return the names that no region of a world bears."""
    return [
        Plot(site, name)
        for site in model.own_worlds()
        for name in REGION_NAMES
        if name not in model.names_taken_in(site.world)
    ]


def taken_plots(model: RegionModel) -> list[Plot]:
    """Return the names that regions of a world bear."""
    return [Plot(site, name) for site in model.own_worlds() for name in model.names_taken_in(site.world)]
