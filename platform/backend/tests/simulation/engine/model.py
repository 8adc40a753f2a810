"""What must be so of the platform: what the domains' models have in common.

A model knows the rules from the issue, not from the code: no module named `model` imports deepsci. It predicts what a
request must do, and it knows who may do what, which is what the strategies choose from.
"""

import copy
from datetime import datetime
from typing import Any, NamedTuple, Self

from pgdst import SimulatedClock

from simulation.engine.keys import Keyed, KeyedRequest


class Refusal(NamedTuple):
    """How a request is refused."""

    status: int
    code: str


class Threshold(NamedTuple):
    """An instant, and what changes then."""

    at: datetime
    changes: tuple[str, ...]


class Model:
    """What each domain's model derives from, directly or through the domains that it builds on.

    A domain adds its own to what these methods say: each of its methods begins with `super()`, as does its `__init__`.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        # What was sent with an idempotency key, in the order in which it was first sent, and when that was.
        self.keyed_requests: dict[Keyed, KeyedRequest] = {}
        self.keys_taken_at: dict[Keyed, datetime] = {}

    def now(self) -> datetime:
        """Return the simulated instant."""
        return self.clock.now()

    def copy(self) -> Self:
        """Return a model by the same clock, of which what happens next changes nothing here."""
        return copy.deepcopy(self, {id(self.clock): self.clock})

    def answered(self, request: KeyedRequest, code: str | None) -> None:
        """Remember a request, unless it is an old one, was malformed, of nobody that is known, or failed."""
        not_kept = request.status >= 500 or request.status == 401 or code == "malformed_request"
        if not not_kept and request.keyed not in self.keyed_requests:
            self.keyed_requests[request.keyed] = request
            self.keys_taken_at[request.keyed] = self.now()

    # What each domain adds to.

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

    # What follows from it.

    def thresholds_ahead(self) -> list[Threshold]:
        """Return the instants that are to come, each of them once, the nearest first."""
        thresholds = self.thresholds()
        instants = sorted({at for at in thresholds.values() if at > self.now()})
        return [
            Threshold(instant, tuple(what for what, at in thresholds.items() if at == instant)) for instant in instants
        ]

    def called(self, key: object) -> str:
        """Return the key of a row, or its parts, with the names by which the steps of a run call them."""
        names = self.names_by_id()
        parts = key if isinstance(key, tuple) else (key,)
        return " ".join(f"{names[part]} ({part})" if part in names else str(part) for part in parts)


def as_json(moment: datetime | None) -> str | None:
    """Return a UTC time as the platform writes it, or None for one that has not come."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def newest_first(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predict the order of a list: by time, ties by id, the last first."""
    return sorted(bodies, key=place_in_a_list, reverse=True)


def place_in_a_list(body: dict[str, Any]) -> tuple[datetime, str]:
    """Return what a list is ordered by; ids in lower case are in order as texts, times may not be."""
    return datetime.fromisoformat(body["created_at"]), body["id"]
