"""Where the choices of the machine come from. Every one is drawn, so every one can be replayed and shrunk."""

import functools
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.state_mirror import Draft, Event, StateMirror

Choice = TypeVar("Choice")
Choices = Callable[[StateMirror], Collection[Choice]]

# More than decide a proposal, so that there are bystanders; few enough that they keep meeting.
USERNAMES: Final = ("ada", "Bob", "cyd-3", "Dee_Dee", "eve")
FIRST_USERNAMES: Final = USERNAMES[:3]
LAST_YEAR: Final = 9999
NO_IDS: Final = [str(UUID(int=0)), str(UUID(int=2**128 - 1))]

# Good texts that code without care breaks on: quotes, formats, a line break at the end, marks that combine, a BOM.
AWKWARD_PROSE: Final = ("'; DROP TABLE worlds; --", "100% {of} %s", " padded \n", "e\u0301\u202e", "\ufeff\U0001f30d")

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

# What is wrong with the body of a draft, and how a good one is spoilt that way.
SPOILT_DRAFTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "nothing but a list": lambda body: [body],
    "no premise": lambda body: {key: body[key] for key in ("year", "chain")},
    "a blank premise": lambda body: body | {"premise": " \n"},
    "a premise with a NUL": lambda body: body | {"premise": "a\x00b"},
    "a premise with half a character": lambda body: body | {"premise": "a\ud800b"},
    "a premise beyond 2000 characters": lambda body: body | {"premise": "a" * 2001},
    "the year as text": lambda body: body | {"year": str(body["year"])},
    "a year beyond the calendar": lambda body: body | {"year": LAST_YEAR + 1},
    "a year beyond 64 bits": lambda body: body | {"year": 2**64},
    "no chain": lambda body: {key: body[key] for key in ("year", "premise")},
    "an event without a year": lambda body: body | {"chain": [{"description": "undated"}, *body["chain"]]},
    "an event with a blank description": lambda body: (
        body | {"chain": [{"year": 1, "description": " "}, *body["chain"]]}
    ),
    "a field nobody knows": lambda body: body | {"status": "approved"},
}

SPOILT_BALLOTS: Final[dict[str, Any]] = {
    "no body": None,
    "no critique": {"verdict": "approve"},
    "a blank critique": {"verdict": "approve", "critique": "\t"},
    "a critique with a NUL": {"verdict": "reject", "critique": "\x00"},
    "an unknown verdict": {"verdict": "perhaps", "critique": "Well."},
    "a verdict in another case": {"verdict": "Approve", "critique": "Well."},
}


def chosen(choices: Choices[Choice]) -> SearchStrategy[Choice]:
    """Draw one of what the mirror offers at this moment; the rule's precondition is `there_are(choices)`."""
    return st.runner().flatmap(lambda machine: st.sampled_from(sorted(choices(machine.mirror))))  # type: ignore[type-var]  # names


def there_are(choices: Choices[Any]) -> Callable[[Any], bool]:
    """Return the precondition that the mirror offers something to choose from."""
    return lambda machine: bool(choices(machine.mirror))


def free_usernames(mirror: StateMirror) -> list[str]:
    """Return the usernames nobody has registered."""
    return [name for name in USERNAMES if name not in mirror.agents]


def taken_usernames() -> SearchStrategy[str]:
    """Draw the username of an agent, as it is or in another case."""
    return chosen(StateMirror.names).flatmap(
        lambda name: st.sampled_from(sorted({name, name.lower(), name.upper(), name.swapcase()}))
    )


def prose() -> SearchStrategy[str]:
    """Draw a text that is good for any field: not blank, whatever else is in it."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
    return st.one_of(st.text(characters, max_size=40).map(lambda rest: f"A{rest}"), st.sampled_from(AWKWARD_PROSE))


def made(make: Callable[..., Draft], *parts: SearchStrategy[Any]) -> SearchStrategy[Draft]:
    """Draw what `make` makes of the parts. Unlike `builds`, a failing run shows the draft itself and not the call."""
    return st.tuples(*parts).flatmap(lambda drawn: st.just(make(*drawn)))


def in_this_year(strategy_of_the_year: Callable[[int], SearchStrategy[Draft]]) -> SearchStrategy[Draft]:
    """Draw from the strategy for the simulated year; it is cached, as making one costs more than drawing from it."""
    strategies = functools.cache(strategy_of_the_year)
    return st.runner().flatmap(lambda machine: strategies(machine.clock.now().year))


def good_drafts_in(this_year: int) -> SearchStrategy[Draft]:
    """Return drafts whose future lies after `this_year`; events may share a year, the last one the future's."""
    futures = st.sampled_from([this_year + 1, this_year + 2, this_year + 50, LAST_YEAR])
    shares_of_the_way = st.sampled_from([0.0, 0.5, 1.0])
    chains = st.lists(st.tuples(shares_of_the_way, prose()), min_size=3, max_size=5)
    return made(_a_draft, prose(), futures, chains)


def drafts_of_no_future_in(this_year: int) -> SearchStrategy[Draft]:
    """Return drafts that are good but for their year, which is `this_year` or earlier."""
    return made(_a_draft, prose(), st.sampled_from([this_year, this_year - 1, 1]), st.just([(0.0, "A step.")] * 3))


def _a_draft(premise: str, year: int, steps: list[tuple[float, str]]) -> Draft:
    # An event at 0.0 is in the year 1, one at 1.0 in the future's own year.
    events = [Event(1 + round((year - 1) * share), description) for share, description in sorted(steps)]
    return Draft(premise, year, tuple(events))


DRAFTS: Final = in_this_year(good_drafts_in)
DRAFTS_OF_NO_FUTURE: Final = in_this_year(drafts_of_no_future_in)


def _with_an_early_event(draft: Draft, position: int, description: str) -> Draft:
    # The events before it get the future's year and the new one the year before that: one inversion at the least.
    before = [event._replace(year=draft.year) for event in draft.chain[:position]]
    early = Event(draft.year - 1, description)
    return draft._replace(chain=(*before, early, *draft.chain[position:]))


def _with_a_late_event(draft: Draft, years_late: int, description: str) -> Draft:
    year = min(draft.year, LAST_YEAR - years_late)
    chain = [event._replace(year=min(event.year, year)) for event in draft.chain]
    return draft._replace(year=year, chain=(*chain, Event(year + years_late, description)))


def _with_few_events(draft: Draft, length: int) -> Draft:
    return draft._replace(chain=draft.chain[:length])


DRAFTS_WITH_TOO_FEW_EVENTS: Final = made(_with_few_events, DRAFTS, st.sampled_from([0, 1, 2]))
DRAFTS_OUT_OF_ORDER: Final = made(_with_an_early_event, DRAFTS, st.sampled_from([1, 2, 3]), prose())
DRAFTS_THAT_END_TOO_LATE: Final = made(_with_a_late_event, DRAFTS, st.sampled_from([1, 2, 100]), prose())


def ids_that_name_none_of(known: Choices[str]) -> SearchStrategy[str]:
    """Draw an id that names nothing, or something of another kind; the kind first, so that each is as likely."""
    return chosen(lambda mirror: _kinds_of_ids(mirror, known)).flatmap(st.sampled_from)


def _kinds_of_ids(mirror: StateMirror, known: Choices[str]) -> list[list[str]]:
    kinds = (mirror.agent_ids(), mirror.proposal_ids(), mirror.world_ids(), mirror.ids_of_proposals_with_worlds())
    return [NO_IDS, *(kind for kind in kinds if kind and not set(kind) & set(known(mirror)))]
