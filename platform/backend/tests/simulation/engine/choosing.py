"""Strategies that choose from what the model offers at the moment.

A rule that draws from one of them is not called while the model offers nothing; the strategy says so (`needed_by`).
"""

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

_NEEDED: Final[WeakKeyDictionary[SearchStrategy[Any], Needs]] = WeakKeyDictionary()


def chosen(choices: Choices[Choice]) -> SearchStrategy[Choice]:
    """Draw one of what the model offers."""
    return _needing(choices, st.runner().flatmap(lambda machine: any_of(choices(machine.model))))


def any_of(named: Collection[Choice]) -> SearchStrategy[Choice]:
    """Draw one of these, such as one of the things that may be wrong with a request."""
    return st.sampled_from(sorted(named))  # type: ignore[type-var]  # names, and tuples of them, are ordered


def there_are(choices: Choices[Any]) -> Needs:
    """Return the precondition that the model offers something to choose from."""
    return lambda machine: bool(choices(machine.model))


def needed_by(strategy: SearchStrategy[Any]) -> Needs | None:
    """Return the precondition of a rule that draws from a strategy, if it has one."""
    return _NEEDED.get(strategy)


def a_name_in(table: str) -> SearchStrategy[str]:
    """Draw the name of one of the model's rows of a table."""
    return chosen(rows_in(table))


def rows_in(table: str) -> Choices[str]:
    """Return a function from a model to the names of its rows of a table."""
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


def some(choices: Choices[Choice], *, fewest: int = 2, most: int = MOST_AT_ONCE) -> SearchStrategy[list[Choice]]:
    """Draw some of what the model offers, perhaps one of them several times."""
    return _needing(choices, st.runner().flatmap(lambda machine: _some_of(choices(machine.model), fewest, most)))


def some_about_one(
    choices: Choices[Choice], about: Thing, *, fewest: int = 2, most: int = MOST_AT_ONCE
) -> SearchStrategy[list[Choice]]:
    """Draw a thing, then some of what the model offers about it, perhaps one of them several times."""
    drawn = st.runner().flatmap(
        lambda machine: (
            st.sampled_from(sorted({about(machine.model, choice) for choice in choices(machine.model)}))
            .map(lambda thing: [one for one in choices(machine.model) if about(machine.model, one) == thing])
            .flatmap(lambda offered: _some_of(offered, fewest, most))
        )
    )
    return _needing(choices, drawn)


def _other_kinds(ids: dict[str, list[str]], table: str) -> list[list[str]]:
    return [NO_IDS, *(of_kind for of_kind in ids.values() if of_kind and not {*of_kind} & {*ids[table]})]


def _some_of(offered: Any, fewest: int, most: int) -> SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(sorted(offered)), min_size=fewest, max_size=most)


def _needing(choices: Choices[Any], strategy: SearchStrategy[Choice]) -> SearchStrategy[Choice]:
    _NEEDED[strategy] = there_are(choices)
    return strategy
