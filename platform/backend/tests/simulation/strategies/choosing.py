"""Choosing from what the mirror offers at the moment."""

import functools
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.state_mirror import StateMirror

Choice = TypeVar("Choice")
Choices = Callable[[StateMirror], Collection[Choice]]

NO_IDS: Final = [str(UUID(int=0)), str(UUID(int=2**128 - 1))]


def chosen(choices: Choices[Choice]) -> SearchStrategy[Choice]:
    """Draw one of what the mirror offers at this moment; the rule's precondition is `there_are(choices)`."""
    return st.runner().flatmap(lambda machine: st.sampled_from(sorted(choices(machine.mirror))))  # type: ignore[type-var]  # names


def there_are(choices: Choices[Any]) -> Callable[[Any], bool]:
    """Return the precondition that the mirror offers something to choose from."""
    return lambda machine: bool(choices(machine.mirror))


def ids_that_name_none_of(known: Choices[str]) -> SearchStrategy[str]:
    """Draw an id that names nothing, or something of another kind; the kind first, so that each is as likely."""
    return chosen(lambda mirror: _kinds_of_ids(mirror, known)).flatmap(st.sampled_from)


def made(make: Callable[..., Choice], *parts: SearchStrategy[Any]) -> SearchStrategy[Choice]:
    """Draw what `make` makes of the parts. Unlike `builds`, a failing run shows the thing itself and not the call."""
    return st.tuples(*parts).flatmap(lambda drawn: st.just(make(*drawn)))


def in_this_year(strategy_of_the_year: Callable[[int], SearchStrategy[Choice]]) -> SearchStrategy[Choice]:
    """Draw from the strategy for the simulated year; it is cached, as making one costs more than drawing from it."""
    strategies = functools.cache(strategy_of_the_year)
    return st.runner().flatmap(lambda machine: strategies(machine.clock.now().year))


def _kinds_of_ids(mirror: StateMirror, known: Choices[str]) -> list[list[str]]:
    return [NO_IDS, *(kind for kind in mirror.kinds_of_ids() if kind and not set(kind) & set(known(mirror)))]
