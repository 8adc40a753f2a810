"""Makes SQLAlchemy's mappers load their properties in the order of their names.

A mapper keeps its properties in a frozenset of objects, whose order depends on memory addresses. If a query loads two
collections by a statement each, the order of those statements would differ between processes. A query keeps the order
that it was compiled with, so this has to be called before the first one.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.orm import Mapper
from sqlalchemy.orm.mapper import _all_registries
from sqlalchemy.util import HasMemoized


def load_properties_in_order() -> None:
    """Give the properties of all present and future mappers a fixed order."""
    Mapper._prop_set = _IN_ORDER  # type: ignore[method-assign]  # a mapper's own memory of it is made from this
    for registry in _all_registries():
        for mapper in registry.mappers:
            if not isinstance(mapper.__dict__.get("_prop_set"), _ByName | None):
                del mapper.__dict__["_prop_set"]


class _ByName(frozenset[Any]):
    """The same set, in the order of the properties' names."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=lambda one: str(one.key)))

    def intersection(self, *others: Iterable[Any]) -> "_ByName":
        return _ByName(super().intersection(*others))


def _prop_set(mapper: Any) -> _ByName:
    return _ByName(mapper._props.values())


_IN_ORDER = HasMemoized.memoized_attribute(_prop_set)
