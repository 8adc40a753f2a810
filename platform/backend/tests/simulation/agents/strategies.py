"""Usernames and keys, good and bad."""

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.agents.model import AgentModel
from simulation.engine.choosing import chosen

# More than decide a proposal, so that there are bystanders; few enough that they keep meeting.
USERNAMES: Final = ("ada", "Bob", "cyd-3", "Dee_Dee", "eve")
FIRST_USERNAMES: Final = USERNAMES[:3]
# Who has been dormant since before an example begins, if anybody has.
SLEEPER: Final = USERNAMES[-1]
# For whoever is missing at the end of an example; of the greatest length, and not for the moves.
NEWCOMERS: Final = tuple(f"a-newcomer-of-good-will-no-{number}-x" for number in (1, 2, 3))

MALFORMED_USERNAMES: Final = (
    None,
    7,
    "",
    "ab",
    "a" * 31,
    "7ada",
    "a da",
    "ada\n",
    "ad\x00a",
    "ad\ud800a",
    "ådå",
    ["ada"],
)

WRONG_KEYS: Final[dict[str, Callable[[str], str]]] = {
    "cut short": lambda key: key[:-1],
    "with a character more": lambda key: key + "A",
    "in another case": str.swapcase,
    "of nobody": lambda _key: "nobody",
}


def free_usernames(model: AgentModel) -> list[str]:
    """Return the usernames nobody has registered."""
    return [name for name in USERNAMES if model.refusal_of_a_registration(name) is None]


def silent_agents() -> SearchStrategy[list[str]]:
    """Draw the agents that are not heard of, most often none."""
    return st.one_of(st.just([]), chosen(AgentModel.names).map(lambda name: [name]), st.just(list(USERNAMES)))


def taken_usernames() -> SearchStrategy[str]:
    """Draw the username of an agent, as it is or in another case."""
    return chosen(AgentModel.names).flatmap(spellings_of)


def spellings_of(name: str) -> SearchStrategy[str]:
    """Return a username, as it is or in another case."""
    return st.sampled_from(sorted({name, name.lower(), name.upper(), name.swapcase()}))
