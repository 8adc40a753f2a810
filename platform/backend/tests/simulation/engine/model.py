"""What the parts of the mirror have in common."""

from datetime import datetime
from typing import Any, NamedTuple

from pgdst import SimulatedClock


class Refusal(NamedTuple):
    """How a request is refused."""

    status: int
    code: str


class MirrorPart:
    """A domain's share of the mirror, which adds its own to what the domains below it say.

    Each method of a domain begins with `super()`, as does its `__init__`.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock

    def now(self) -> datetime:
        """Return the simulated instant."""
        return self.clock.now()

    def names_by_id(self) -> dict[str, str]:
        """Return by id what the steps of a run call a thing, for failures."""
        return {}

    def kinds_of_ids(self) -> list[list[str]]:
        """Return the ids of each kind of thing: what names one kind names nothing of another."""
        return []

    def times(self) -> dict[tuple[str, str], datetime]:
        """Return when things happened, by event and id; the events are those of the invariants' STORED_TIMES."""
        return {}

    def secrets(self) -> list[str]:
        """Return what only whoever was told it may know."""
        return []

    def thresholds(self) -> dict[str, datetime]:
        """Return when something changes by itself, by what changes; what has passed does no harm."""
        return {}

    def lists(self) -> list[str]:
        """Return the paths of the lists that are read page by page, the newest first."""
        return []


def as_json(moment: datetime | None) -> str | None:
    """Return a UTC time as the platform writes it, or None for one that has not come."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def newest_first(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predict the order of a list: by time, ties by id, the last first."""
    return sorted(bodies, key=place_in_a_list, reverse=True)


def place_in_a_list(body: dict[str, Any]) -> tuple[datetime, str]:
    """Return what a list is ordered by; ids in lower case are in order as texts, times may not be."""
    return datetime.fromisoformat(body["created_at"]), body["id"]
