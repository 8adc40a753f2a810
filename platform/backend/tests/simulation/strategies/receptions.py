"""What was told and said before an example begins, and how it was received."""

from typing import Final

from hypothesis import strategies as st

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
