"""Reading lists page by page; cursors, good and bad."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from simulation.engine.harness import Answer, Harness
from simulation.engine.model import newest_first, place_in_a_list

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


DEFAULT_LIMIT: Final = 50

Bodies = list[dict[str, Any]]


class Page(NamedTuple):
    """Rows of a list, and the cursor of the next page if there is one."""

    rows: Bodies
    next_cursor: str | None


class Lists(Harness):
    """Reading lists: a page depends on the list alone, and on where the reader left off."""

    SOMETIMES = frozenset({"a list has a second page"})

    def expect_page(self, path: str, key: str, bodies: Bodies, limit: int, before: Page | None = None) -> Page:
        """Read the first page of a list, or the next one, and check it against all the `bodies` that there are now."""
        query = f"limit={limit}" if before is None else f"limit={limit}&cursor={before.next_cursor}"
        answer = self.read(f"{path}{'&' if '?' in path else '?'}{query}")
        self.expect(answer, 200)
        left = newest_first(bodies)
        if before is not None:
            left = [body for body in left if place_in_a_list(body) < place_in_a_list(before.rows[-1])]
        # What a cursor says is the platform's business, whether there is one is not.
        cursor = answer.body["next_cursor"] or "a cursor" if len(left) > limit else None
        self.expect_body(answer, {key: left[:limit], "next_cursor": cursor})
        return Page(left[:limit], cursor)

    def expect_pages(
        self, path: str, key: str, bodies: Callable[[], Bodies], limit: int, between: Callable[[], object]
    ) -> None:
        """Read a list to its end, `between` having added to it after the first page.

        `bodies` returns all that there is whenever it is called. Each page is as predicted from what there is then,
        and what was there from the beginning is read once: neither skipped nor repeated.
        """
        there = [body["id"] for body in newest_first(bodies())]
        page = self.expect_page(path, key, bodies(), limit)
        read = [*page.rows]
        self.sometimes("a list has a second page", page.next_cursor is not None)
        between()
        while page.next_cursor is not None:
            page = self.expect_page(path, key, bodies(), limit, page)
            read += page.rows
        found = [body["id"] for body in read if body["id"] in there]
        self.expect_equal("each row once", there, found, f"in {path}")

    def expect_numbered_page(
        self,
        path: str,
        key: str,
        bodies: Bodies,
        after: int,
        limit: int | None,
        *,
        read: Callable[[str], Answer] | None = None,
        **more: Any,
    ) -> int | None:
        """Read a page of a list that goes by numbers, and check it against all its `bodies`; return what comes after.

        A limit of None is not said. `read` reads what not everybody may read; `more` is what the page says beside.
        """
        query = f"{path}?after={after}" if limit is None else f"{path}?after={after}&limit={limit}"
        limit = DEFAULT_LIMIT if limit is None else limit
        answer = (read or self.read)(query)
        self.expect(answer, 200)
        left = [body for body in bodies if body["number"] > after]
        next_after = left[limit - 1]["number"] if len(left) > limit else None
        self.expect_body(answer, {key: left[:limit], "next_after": next_after, **more})
        return next_after
