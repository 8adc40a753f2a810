"""The endpoints."""

import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tickets.models import Concert, Sale

engine: AsyncEngine = create_async_engine(os.environ.get("TICKETS_DATABASE", "postgresql+asyncpg://localhost/tickets"))
app = FastAPI(title="Tickets")


async def get_session() -> AsyncIterator[AsyncSession]:
    """Open a session. Uncommitted changes are rolled back."""
    async with AsyncSession(engine) as session:
        yield session


SessionOfRequest = Annotated[AsyncSession, Depends(get_session)]


@app.get("/")
async def say_what_this_is() -> str:
    """Answer, to show that the application runs."""
    return "tickets"


@app.post("/concerts", status_code=201)
async def add_concert(seats: int, session: SessionOfRequest) -> int:
    """Add a concert, and return its id."""
    concert = Concert(seats_left=seats)
    session.add(concert)
    await session.commit()
    return concert.id


@app.get("/concerts/{concert_id}/sales")
async def count_sales(concert_id: int, session: SessionOfRequest) -> int:
    """Return the number of sold seats."""
    query = select(func.count()).select_from(Sale).where(Sale.concert_id == concert_id)
    return (await session.scalars(query)).one()


@app.post("/concerts/{concert_id}/sales", status_code=201)
async def buy(concert_id: int, buyer: str, session: SessionOfRequest) -> int:
    """Sell a seat, if there is one left."""
    concert = await session.get(Concert, concert_id, with_for_update=True)
    if concert is None:
        raise HTTPException(404, "There is no such concert.")
    if not concert.seats_left:
        raise HTTPException(409, "All seats are sold.")
    concert.seats_left -= 1
    session.add(Sale(concert_id=concert_id, buyer=buyer))
    left = concert.seats_left
    await session.commit()
    return left
