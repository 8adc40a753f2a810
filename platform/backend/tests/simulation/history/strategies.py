"""Dwellers with their past, and stories and feedback, from before an example begins."""

import operator
from datetime import timedelta
from typing import Final, NamedTuple

from hypothesis import strategies as st

from simulation.agents.strategies import FIRST_USERNAMES, SLEEPER
from simulation.dwellers.dweller_actions_model import TOKEN_LASTS
from simulation.dwellers.model import CLAIM_LASTS, MAX_HELD

Events = tuple[str, ...]


class Fortune(NamedTuple):
    """The past of a dweller: a day ago, when claims lapse now; ten minutes ago, when tokens expire now; and now."""

    a_day_ago: Events = ()
    ten_minutes_ago: Events = ()
    now: Events = ()


# Who founds the world: the one who authors nothing else before an example begins.
FOUNDER: Final = FIRST_USERNAMES[-1]

# The simplest first, as shrinking likes it.
FORTUNES: Final = {
    "free": Fortune(),
    "held": Fortune(now=("claim",)),
    "about to act": Fortune(now=("claim", "look")),
    "torn between two contexts": Fortune(now=("claim", "look", "look")),
    "about to act again": Fortune(now=("claim", "look", "act", "look")),
    "held again": Fortune(now=("claim", "look", "release", "claim", "look")),
    "passed on": Fortune(now=("claim", "look", "release", "change hands", "claim", "look")),
    "busy": Fortune(now=("claim", "look", "act", "look", "act")),
    "released": Fortune(now=("claim", "look", "act", "release")),
    "too late to act": Fortune(ten_minutes_ago=("claim", "look", "look", "act"), now=("look",)),
    "lost in thought": Fortune(ten_minutes_ago=("claim", "look")),
    "lapsed": Fortune(a_day_ago=("claim", "look")),
    "lapsed before it acted": Fortune(a_day_ago=("claim",), ten_minutes_ago=("look",)),
    "kept by acting": Fortune(a_day_ago=("claim",), ten_minutes_ago=("look", "act"), now=("look",)),
    "claimed again after the lapse": Fortune(a_day_ago=("claim", "look"), now=("claim", "look")),
    "in other hands": Fortune(a_day_ago=("claim", "look", "act"), now=("change hands", "claim", "look", "act")),
}
HELD: Final = ("held", "about to act", "about to act again", "too late to act", "lost in thought", "kept by acting")


class Resident(NamedTuple):
    """Somebody who lives in a world: who held it first, and what has happened."""

    holder: str
    fortune: str


def _a_crowd(holder: str, fortunes: list[str], others: list[Resident]) -> list[Resident]:
    # One more than an agent may hold, and it does hold all but one or two.
    held = [Resident(holder, fortune) for fortune in fortunes]
    return [*others, *held, *[Resident(holder, "held")] * (MAX_HELD + 1 - len(others) - len(held))]


HOLDERS: Final = st.sampled_from([name for name in FIRST_USERNAMES if name != FOUNDER])
RESIDENTS: Final = st.builds(Resident, HOLDERS, st.sampled_from(tuple(FORTUNES)))
NOT_HELD: Final = st.builds(Resident, HOLDERS, st.sampled_from(["free", "released"]))
CROWDS: Final = st.builds(
    _a_crowd, HOLDERS, st.lists(st.sampled_from(HELD), max_size=2), st.lists(NOT_HELD, min_size=1, max_size=2)
)
# Of one who mostly does nothing else, as a claim would settle them.
LAPSED: Final = st.builds(Resident, st.just(FOUNDER), st.sampled_from(["lapsed", "lapsed before it acted"]))
# In most examples somebody is held, in half of them one agent holds as many as it may, or could hold one more.
SETTLEMENTS: Final = st.builds(
    operator.add, st.one_of(st.lists(RESIDENTS, max_size=4), CROWDS), st.lists(LAPSED, max_size=2)
)
# How long it is from each time of a fortune to the next one.
PAUSES: Final = (CLAIM_LASTS - TOKEN_LASTS, TOKEN_LASTS, timedelta())
# Who falls asleep meanwhile, with a dweller in its hands.
A_DOZING_HOLDER: Final = Resident(SLEEPER, "lost in thought")


# What reviewers thought of a story, one after the other as long as there are any, and whether the author has responded.
# The simplest first, as shrinking likes it.
RECEPTIONS: Final[dict[str, tuple[tuple[bool, bool], ...]]] = {
    "unread": (),
    "panned": ((False, False),),
    "recommended": ((True, False),),
    "answered": ((True, True),),
    "about to be acclaimed": ((True, True), (True, False)),
    "recommended twice": ((True, False), (True, False)),
    "acclaimed": ((True, True), (True, True)),
    "acclaimed before it was panned": ((True, True), (True, True), (False, False)),
}
ANY_RECEPTIONS: Final = st.lists(st.sampled_from(tuple(RECEPTIONS)), max_size=2)
# In most examples somebody tells a story, if somebody holds a dweller.
STORIES: Final = st.one_of(ANY_RECEPTIONS, st.lists(st.sampled_from(tuple(RECEPTIONS)), min_size=1, max_size=2))
# How many agree with each feedback. In most examples there is some.
FEEDBACK: Final = st.one_of(
    st.lists(st.sampled_from([0, 1, 2]), max_size=1), st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=1)
)
