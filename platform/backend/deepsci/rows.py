"""A row by its id, or the refusal that says that there is none."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
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
    query = select(model).where(model.__table__.c.id == row_id).with_for_update(key_share=True)
    return existing(session.scalar(query.execution_options(populate_existing=True)), model, row_id)


def existing(found: Row | None, model: type[Row], row_id: UUID) -> Row:
    """Return `found`.

    Raises: ApiError `story_not_found`, or the like of another model, when it is None.
    """
    if found is None:
        noun = model.__name__.lower()
        raise ApiError(ErrorCode(f"{noun}_not_found"), f"There is no {noun} {row_id}.")
    return found
