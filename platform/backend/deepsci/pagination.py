"""Lists, page by page: the newest first, and the next page begins where the last one ended.

A cursor names the last row of its page, not a number of rows: what is added in between neither pushes a row onto the
next page a second time nor off both.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from deepsci.errors import ApiError, ErrorCode

DEFAULT_LIMIT: Final = 50

Row = TypeVar("Row", bound=Any)


def newest_page(session: Session, query: Select[Row], cursor: str, limit: int) -> tuple[Sequence[Row], str | None]:
    """Return at most `limit` rows, newest first with ties by id, and the cursor of the next page if there is one.

    `query` selects one model that has `id` and `created_at`.

    Raises: ApiError `malformed_request`, when the cursor is none.
    """
    model = query.column_descriptions[0]["entity"]
    if cursor:
        query = query.where(tuple_(model.created_at, model.id) < decoded(cursor))
    rows = session.scalars(query.order_by(model.created_at.desc(), model.id.desc()).limit(limit + 1)).all()
    page = rows[:limit]
    return page, encoded(page[-1].created_at, page[-1].id) if len(rows) > limit else None


def numbered_page(session: Session, query: Select[Row], after: int, limit: int) -> tuple[Sequence[Row], int | None]:
    """Return at most `limit` rows whose `number` is greater than `after`, in order, and what is `after` next time."""
    model = query.column_descriptions[0]["entity"]
    rows = session.scalars(query.where(model.number > after).order_by(model.number).limit(limit + 1)).all()
    page = rows[:limit]
    return page, page[-1].number if len(rows) > limit else None


def encoded(created_at: datetime, row_id: UUID) -> str:
    """Return the cursor of a row, the same whichever zone the server gives times in."""
    return urlsafe_b64encode(f"{created_at.astimezone(UTC).isoformat()} {row_id}".encode()).decode().rstrip("=")


def decoded(cursor: str) -> tuple[datetime, UUID]:
    """Return the place in a list that a cursor names.

    Raises: ApiError `malformed_request`.
    """
    try:
        created_at, row_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        place = datetime.fromisoformat(created_at), UUID(row_id)
        if cursor != encoded(*place):  # each of the three takes other spellings too
            raise ValueError("not as it was given")
    except (ValueError, OverflowError) as error:  # OverflowError: an instant that has no year in UTC
        raise ApiError(ErrorCode.MALFORMED_REQUEST, "query.cursor: Not a cursor that a list has given.") from error
    return place


def checked(cursor: str) -> str:
    """Return a cursor that is empty or good, so that a bad one is refused before anything is looked for.

    Raises: ApiError `malformed_request`.
    """
    if cursor:
        decoded(cursor)
    return cursor


Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
Cursor = Annotated[
    str,
    AfterValidator(checked),
    Query(max_length=100, description="`next_cursor` of the page before; empty: the first page."),
]
# The number is the cursor of lists whose rows are numbered.
After = Annotated[int, Query(ge=0, le=2**31 - 1, description="`next_after` of the page before; 0: the first page.")]
