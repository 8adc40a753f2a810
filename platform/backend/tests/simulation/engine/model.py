"""What must be so of the platform: what the domains' models have in common.

A model knows the rules from the issue, not from the code: no module named `model` imports deepsci. It predicts what a
request must do, and it knows who may do what, which is what the strategies choose from.
"""

import copy
import pickle
from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

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


class Row(Protocol):
    """A row as the model keeps it; times have the names of their columns."""

    @property
    def id(self) -> str:
        """The row's id."""


Kept = TypeVar("Kept", bound=Row)


class Rows(dict[str, Kept]):
    """The rows of a table, by the names that the steps of a run call them: r1, r2 …, in the order of their coming."""

    def __init__(self, table: str, times: Collection[str], prefix: str, called: str, *, in_paths: bool) -> None:
        super().__init__()
        self.table, self.times, self.prefix, self.called, self.in_paths = table, times, prefix, called, in_paths

    def add(self, row: Kept) -> str:
        """Add a row and return its name."""
        name = f"{self.prefix}{len(self) + 1}"
        self[name] = row
        return name

    def ids(self) -> list[str]:
        """Return the ids of all rows."""
        return [row.id for row in self.values()]


class Model:
    """What each domain's model derives from, directly or through the domains that it builds on.

    A domain adds its own to what these methods say: each of its methods begins with `super()`, as does its `__init__`.
    """

    # The paths of the lists that are read page by page, the newest first; `{worlds}` stands for the id of each world.
    LISTS: ClassVar[frozenset[str]] = frozenset()
    # Where times are stored that are not in `tables`: the table, the column, and the columns that name the row there if
    # it is not its id. `times` joins them with a space, and leaves out what is NULL.
    STORED_TIMES: ClassVar[frozenset[tuple[str, ...]]] = frozenset()

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        # What was sent with an idempotency key, in the order in which it was first sent, and when that was.
        self.keyed_requests: dict[Keyed, KeyedRequest] = {}
        self.keys_taken_at: dict[Keyed, datetime] = {}
        self.tables: dict[str, Rows[Any]] = {}

    def rows(self, table: str, *times: str, prefix: str = "", called: str = "{}", in_paths: bool = True) -> Rows[Any]:
        """Begin to keep the rows of a table, with the columns of when something happened to them.

        `called` is what failures call a row of a name. `in_paths` says whether requests name rows by their ids.
        """
        self.tables[table] = Rows(table, times, prefix, called, in_paths=in_paths)
        return self.tables[table]

    def now(self) -> datetime:
        """Return the simulated instant."""
        return self.clock.now()

    def copy(self) -> Self:
        """Return a model by the same clock, of which what happens next changes nothing here."""
        model = copy.copy(self)
        others = {name: value for name, value in vars(self).items() if value is not self.clock}
        vars(model).update(pickle.loads(pickle.dumps(others)))  # noqa: S301  our own; four times as fast as deepcopy
        return model

    def answered(self, request: KeyedRequest, code: str | None) -> None:
        """Remember a request, unless it is an old one, was malformed, of nobody that is known, or failed."""
        not_kept = request.status >= 500 or request.status == 401 or code == "malformed_request"
        if not not_kept and request.keyed not in self.keyed_requests:
            self.keyed_requests[request.keyed] = request
            self.keys_taken_at[request.keyed] = self.now()

    # What each domain adds to.

    def names_by_id(self) -> dict[str, str]:
        """Return by id what the steps of a run call a thing, for failures."""
        tables = self.tables.values()
        return {row.id: table.called.format(name) for table in tables for name, row in table.items()}

    def ids_by_kind(self) -> dict[str, list[str]]:
        """Return the ids that requests name things by, by table: what names one kind names nothing of another."""
        return {name: table.ids() for name, table in self.tables.items() if table.in_paths}

    def times(self) -> dict[tuple[str, str], datetime]:
        """Return when things happened, by column, as `worlds.created_at`, and id."""
        return {
            (f"{table.table}.{column}", row.id): at
            for table in self.tables.values()
            for column in table.times
            for row in table.values()
            if (at := getattr(row, column)) is not None
        }

    def secrets(self) -> list[str]:
        """Return the secrets, each of which only its owner may know."""
        return []

    def thresholds(self) -> dict[str, datetime]:
        """Return when something changes by itself, by what changes; what has passed does no harm."""
        return {}

    # What follows from it.

    def thresholds_ahead(self) -> list[Threshold]:
        """Return the instants that are to come, each of them once, the nearest first."""
        thresholds = self.thresholds()
        instants = sorted({at for at in thresholds.values() if at > self.now()})
        return [
            Threshold(instant, tuple(what for what, at in thresholds.items() if at == instant)) for instant in instants
        ]

    def lists(self) -> list[str]:
        """Return the paths of all lists."""
        ids = {name: table.ids() for name, table in self.tables.items()}
        paths = []
        for path in collected(type(self), "LISTS"):
            named = path[path.find("{") + 1 : path.find("}")] if "{" in path else ""
            paths += [path.replace(f"{{{named}}}", row_id) for row_id in ids[named]] if named else [path]
        return paths

    def stored_times(self) -> list[tuple[str, ...]]:
        """Return where times are stored: table, column, and the columns that name the row if it is not its id."""
        of_rows = [(table.table, column) for table in self.tables.values() for column in table.times]
        return sorted([*of_rows, *collected(type(self), "STORED_TIMES")])

    def called(self, key: object) -> str:
        """Return the key of a row, or its parts, with the names by which the steps of a run call them."""
        names = self.names_by_id()
        parts = key if isinstance(key, tuple) else (key,)
        return " ".join(f"{names[part]} ({part})" if part in names else str(part) for part in parts)


def collected(composed: type, attribute: str) -> list[Any]:
    """Return what the classes that make up another one each say in a class attribute, sorted."""
    return sorted(entry for part in composed.__mro__ for entry in vars(part).get(attribute, ()))


def as_json(moment: datetime | None) -> str | None:
    """Return a UTC time as the platform writes it, or None for one that has not come."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def newest_first(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predict the order of a list: by time, ties by id, the last first."""
    return sorted(bodies, key=place_in_a_list, reverse=True)


def place_in_a_list(body: dict[str, Any]) -> tuple[datetime, str]:
    """Return what a list is ordered by; ids in lower case are in order as texts, times may not be."""
    return datetime.fromisoformat(body["created_at"]), body["id"]
