"""Choosing from what the model offers at the moment, also what to do at once."""

import functools
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Choice = TypeVar("Choice")
Choices = Callable[[Any], Collection[Choice]]

Needs = Callable[[Any], bool]
Thing = Callable[[Any, Any], str]

MOST_AT_ONCE: Final = 4
NO_IDS: Final = [str(UUID(int=0)), str(UUID(int=2**128 - 1))]


# What a machine's model must offer so that something can be drawn; rules have it as a precondition.
_NEEDED: Final[WeakKeyDictionary[SearchStrategy[Any], list[Needs]]] = WeakKeyDictionary()


def chosen(choices: Choices[Choice]) -> SearchStrategy[Choice]:
    """Draw one of what the model offers at this moment, which a rule needs there to be."""
    offered = st.runner().flatmap(lambda machine: st.sampled_from(sorted(choices(machine.model))))  # type: ignore[type-var]  # names
    return _needing(choices, offered)


def any_of(named: Collection[Choice]) -> SearchStrategy[Choice]:
    """Draw one of the names, such as those of all that may be wrong with a request."""
    return st.sampled_from(sorted(named))  # type: ignore[type-var]  # names


def there_are(choices: Choices[Any]) -> Needs:
    """Return the precondition that the model offers something to choose from."""
    return lambda machine: bool(choices(machine.model))


def needed_by(strategy: SearchStrategy[Any]) -> list[Needs]:
    """Return the preconditions of a rule that draws from a strategy."""
    return _NEEDED.get(strategy, [])


def a_name_in(table: str) -> SearchStrategy[str]:
    """Draw the name of one of the rows of a table that the model has at this moment, which a rule needs there to be."""
    return chosen(rows_in(table))


def rows_in(table: str) -> Choices[str]:
    """Return what offers the names of the rows of a table."""
    return lambda model: list(model.tables[table])


def ids_of_nothing_in(table: str) -> SearchStrategy[str]:
    """Draw an id that names nothing, or no row of this table; the kind first, so that each is as likely."""
    return chosen(lambda model: _other_kinds(model.ids_by_kind(), table)).flatmap(st.sampled_from)


def made(make: Callable[..., Choice], *parts: SearchStrategy[Any]) -> SearchStrategy[Choice]:
    """Draw what `make` makes of the parts. Unlike `builds`, a failing run shows the thing itself and not the call."""
    return st.tuples(*parts).flatmap(lambda drawn: st.just(make(*drawn)))


def in_this_year(strategy_of_the_year: Callable[[int], SearchStrategy[Choice]]) -> SearchStrategy[Choice]:
    """Draw from the strategy for the simulated year; it is cached, as making one costs more than drawing from it."""
    strategies = functools.cache(strategy_of_the_year)
    return st.runner().flatmap(lambda machine: strategies(machine.clock.now().year))


def _other_kinds(ids: dict[str, list[str]], table: str) -> list[list[str]]:
    return [NO_IDS, *(of_kind for of_kind in ids.values() if of_kind and not {*of_kind} & {*ids[table]})]


def some(choices: Choices[Choice], *, fewest: int = 2, most: int = MOST_AT_ONCE) -> SearchStrategy[list[Choice]]:
    """Draw some of what the model offers, which may be the same one again, and which a rule needs there to be."""
    return _needing(choices, st.runner().flatmap(lambda machine: _some_of(choices(machine.model), fewest, most)))


def some_about_one(
    choices: Choices[Choice], about: Thing, *, fewest: int = 2, most: int = MOST_AT_ONCE
) -> SearchStrategy[list[Choice]]:
    """Draw a thing, then some of what the model offers about it, as `some` does."""
    drawn = st.runner().flatmap(
        lambda machine: (
            st.sampled_from(sorted({about(machine.model, choice) for choice in choices(machine.model)}))
            .map(lambda thing: [one for one in choices(machine.model) if about(machine.model, one) == thing])
            .flatmap(lambda offered: _some_of(offered, fewest, most))
        )
    )
    return _needing(choices, drawn)


def _some_of(offered: Any, fewest: int, most: int) -> SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(sorted(offered)), min_size=fewest, max_size=most)


def _needing(choices: Choices[Any], strategy: SearchStrategy[Choice]) -> SearchStrategy[Choice]:
    _NEEDED[strategy] = [there_are(choices)]
    return strategy
