"""The engine, and a session for each request."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from bookings.settings import settings

engine = create_engine(settings.database_url)


def get_engine() -> Engine:
    """Return the engine of the settings."""
    return engine


def get_session(engine: Annotated[Engine, Depends(get_engine)]) -> Iterator[Session]:
    """Open a session. Uncommitted changes are rolled back."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


SessionOfRequest = Annotated[Session, Depends(get_session)]
