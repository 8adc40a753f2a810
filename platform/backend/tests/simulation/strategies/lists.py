"""Pages and cursors, good and bad."""

from typing import Final

from hypothesis import strategies as st

# So few that what a history leaves behind has a second page.
A_FEW: Final = st.sampled_from([1, 2])

# What no list has given, percent-encoded where a URL needs it.
CURSORS_OF_NONSENSE: Final = {
    "a number": "2",
    "a word": "next",
    "an id": "00000000-0000-0000-0000-000000000000",
    "half a character": "%ff",
    "a NUL": "%00",
    "a time in base64": "MjAyNi0wMS0wMVQwMDowMDowMCswMDowMA",
    "a time and a word in base64": "MjAyNi0wMS0wMVQwMDowMDowMCswMDowMCBuZXh0",
    "more than a cursor needs": "a" * 101,
}
