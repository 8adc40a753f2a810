"""A row by its id, or the refusal that says that there is none."""

from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from deepsci.errors import ApiError, ErrorCode
from deepsci.models.base import Base

Row = TypeVar("Row", bound=Base)


def get_row(session: Session, model: type[Row], row_id: UUID) -> Row:
    """Return a row.

    Raises: ApiError `story_not_found`, or the like of another model.
    """
    return existing(session.get(model, row_id), model, row_id)


def lock_row(session: Session, model: type[Row], row_id: UUID) -> Row:
    """Return a row as it is once no other transaction changes it.

    FOR NO KEY UPDATE, the strength of an ordinary UPDATE: a foreign key check on the row does not wait for it.

    Raises: ApiError `story_not_found`, or the like of another model.
    """
    found: Row | None = session.scalar(_locking(model), {"row_id": row_id})
    return existing(found, model, row_id)


@cache
def _locking(model: type[Base]) -> Select[Any]:
    """Return the statement of `lock_row`, made once: to make it takes half as long as to execute it."""
    query = select(model).where(model.__table__.c.id == bindparam("row_id")).with_for_update(key_share=True)
    return query.execution_options(populate_existing=True)


def existing(found: Row | None, model: type[Row], row_id: UUID) -> Row:
    """Return `found`.

    Raises: ApiError `story_not_found`, or the like of another model, when it is None.
    """
    if found is None:
        noun = model.__name__.lower()
        raise ApiError(ErrorCode(f"{noun}_not_found"), f"There is no {noun} {row_id}.")
    return found
