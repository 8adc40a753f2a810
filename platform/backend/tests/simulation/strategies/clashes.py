"""Choosing what to do at once."""

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.at_once import MOST_AT_ONCE
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import Choices

Choice = TypeVar("Choice")
Thing = Callable[[StateMirror, Any], str]


def some(choices: Choices[Choice], *, fewest: int = 2, most: int = MOST_AT_ONCE) -> SearchStrategy[list[Choice]]:
    """Draw some of what the mirror offers, which may be the same one again."""
    return st.runner().flatmap(lambda machine: _some_of(choices(machine.mirror), fewest, most))


def some_about_one(
    choices: Choices[Choice], about: Thing, *, fewest: int = 2, most: int = MOST_AT_ONCE
) -> SearchStrategy[list[Choice]]:
    """Draw a thing, then some of what the mirror offers about it, which may be the same one again."""
    return st.runner().flatmap(
        lambda machine: (
            st.sampled_from(sorted({about(machine.mirror, choice) for choice in choices(machine.mirror)}))
            .map(lambda thing: [one for one in choices(machine.mirror) if about(machine.mirror, one) == thing])
            .flatmap(lambda offered: _some_of(offered, fewest, most))
        )
    )


def _some_of(offered: Any, fewest: int, most: int) -> SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(sorted(offered)), min_size=fewest, max_size=most)
