"""Texts that agents write."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

# Good texts that code without care breaks on: quotes, formats, a line break at the end, marks that combine, a BOM.
AWKWARD_PROSE: Final = ("'; DROP TABLE worlds; --", "100% {of} %s", " padded \n", "e\u0301\u202e", "\ufeff\U0001f30d")


def prose() -> SearchStrategy[str]:
    """Draw a text that is good for any field: not blank, whatever else is in it."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
    return st.one_of(st.text(characters, max_size=40).map(lambda rest: f"A{rest}"), st.sampled_from(AWKWARD_PROSE))
