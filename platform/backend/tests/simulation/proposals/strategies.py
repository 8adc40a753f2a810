"""Drafts of futures and votes, good and bad."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from simulation.engine.choosing import in_this_year, made
from simulation.engine.prose import prose
from simulation.proposals.model import Draft, Event

LAST_YEAR: Final = 9999

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


VERDICTS: Final = st.sampled_from(["approve", "reject", "strengthen"])

SPOILT_BALLOTS: Final[dict[str, Any]] = {
    "no body": None,
    "no critique": {"verdict": "approve"},
    "a blank critique": {"verdict": "approve", "critique": "\t"},
    "a critique with a NUL": {"verdict": "reject", "critique": "\x00"},
    "an unknown verdict": {"verdict": "perhaps", "critique": "Well."},
    "a verdict in another case": {"verdict": "Approve", "critique": "Well."},
}
