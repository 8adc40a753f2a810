"""Errands: what agents may want done at any time, and what may have become impossible when it is its turn.

An action of a domain is an errand if it says so. Races make errands at once; fault runs draw them from what the model
offers, those of all domains.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.engine.harness import Harness
from simulation.engine.model import Refusal

Action = TypeVar("Action", bound=Callable[..., Any])
Predict = Callable[[Any, Any], Refusal | None]

_MARK: Final = "errand"


class Errand(NamedTuple):
    """What somebody wants done: by which action, and what of what the model offers."""

    action: str
    choice: Any


@dataclass(frozen=True)
class About:
    """What is known of an errand: what the model offers, when it is refused, and where other arguments come from."""

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


def details() -> SearchStrategy[dict[str, Any]]:
    """Draw the other arguments of all errands."""
    return st.runner().flatmap(lambda machine: st.fixed_dictionaries(_details_of(type(machine))))


def _errands_now(machine: Harness) -> SearchStrategy[Errand]:
    offered = {name: sorted(offers(machine.model)) for name, offers in _offers_of(type(machine)).items()}
    possible = sorted(name for name, choices in offered.items() if choices)
    return st.sampled_from(possible).flatmap(
        lambda name: st.sampled_from(offered[name]).flatmap(lambda choice: st.just(Errand(name, choice)))
    )


def _offers_of(machine: type[Harness]) -> dict[str, Callable[[Any], Collection[Any]]]:
    return {name: known.offered for name, known in _errands_of(machine).items() if known.offered is not None}


def _details_of(machine: type[Harness]) -> dict[str, SearchStrategy[Any]]:
    known = _errands_of(machine)
    return {detail: strategy for name in _offers_of(machine) for detail, strategy in known[name].details.items()}


def _errands_of(machine: type[Harness]) -> dict[str, About]:
    """Return the errands of a machine by their actions, those of the domains that others build on first."""
    parts = [vars(part) for part in reversed(machine.__mro__)]
    return {name: about(member) for part in parts for name, member in part.items() if hasattr(member, _MARK)}
