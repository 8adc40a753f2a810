"""SQLAlchemy's mappers, whose properties are loaded in the order of their names.

A mapper keeps its properties in a frozenset of objects, which iterates by their addresses: two collections that are
loaded for one query by statements of their own would be loaded in another order in another process.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.mapper import _all_registries


def load_properties_in_order() -> None:
    """Give the mappers that there are by now an order of their properties."""
    configure_mappers()
    for registry in _all_registries():
        for mapper in registry.mappers:
            mapper.__dict__["_prop_set"] = _ByName(mapper._prop_set)


class _ByName(frozenset[Any]):
    """The same set, in the order of the properties' names."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=lambda one: str(one.key)))

    def intersection(self, *others: Iterable[Any]) -> "_ByName":
        return _ByName(super().intersection(*others))
