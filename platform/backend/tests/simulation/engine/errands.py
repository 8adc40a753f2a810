"""Errands: what agents may want done at any time, and what may have become impossible when it is its turn.

An action of a domain is an errand if it says so. Races make errands at once; fault runs draw them from what the model
offers, those of all domains.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.engine.choosing import made
from simulation.engine.harness import Harness
from simulation.engine.model import Refusal

Action = TypeVar("Action", bound=Callable[..., Any])
Predict = Callable[[Any, Any], Refusal | None]

_MARK: Final = "errand"


class Errand(NamedTuple):
    """An action's name, its first argument, which the model offers, and its other arguments."""

    action: str
    choice: Any
    details: dict[str, Any]


@dataclass(frozen=True)
class About:
    """What the model offers for an errand, when it is refused, and strategies for its other arguments."""

    offered: Callable[[Any], Collection[Any]] | None
    refused: Predict
    details: dict[str, SearchStrategy[Any]]


def errand(
    offered: Callable[[Any], Collection[Any]] | None = None,
    *,
    refused: Predict = lambda _model, _choice: None,
    **details: SearchStrategy[Any],
) -> Callable[[Action], Action]:
    """Make an action an errand.

    Its first argument is one of what the model offers, `details` are where the others come from. `refused` predicts
    whether what was offered before is refused now. An errand without an offer is no part of fault runs.
    """

    def marked(action: Action) -> Action:
        setattr(action, _MARK, About(offered, refused, details))
        return action

    return marked


def about(action: Callable[..., Any]) -> About:
    """Return what is known of an errand."""
    known: About = getattr(action, _MARK)
    return known


def errands() -> SearchStrategy[Errand]:
    """Draw an errand, its action first, so that each is as likely."""
    return st.runner().flatmap(_errands_now)


def _errands_now(machine: Harness) -> SearchStrategy[Errand]:
    known = _errands_of(type(machine))
    offered = {name: sorted(one.offered(machine.model)) for name, one in known.items() if one.offered is not None}
    possible = sorted(name for name, choices in offered.items() if choices)
    return st.sampled_from(possible).flatmap(
        lambda name: made(
            partial(Errand, name), st.sampled_from(offered[name]), st.fixed_dictionaries(known[name].details)
        )
    )


def _errands_of(machine: type[Harness]) -> dict[str, About]:
    """Return the errands of a machine by their actions."""
    parts = [vars(part) for part in reversed(machine.__mro__)]
    return {name: about(member) for part in parts for name, member in part.items() if hasattr(member, _MARK)}
