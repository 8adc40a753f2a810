"""A realistic backend: FastAPI, SQLAlchemy's asyncio engine on asyncpg, one pool. Its transfers have races."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Response
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=int(os.environ.get("POOL", "5")), max_overflow=0)
asked_by: ContextVar[str] = ContextVar("asked_by", default="")


async def deposit_on(connection: AsyncConnection, account: int) -> int:
    query = text("SELECT balance FROM accounts WHERE id = :id")
    balance = int((await connection.execute(query, {"id": account})).scalar_one())
    change = text("UPDATE accounts SET balance = :new WHERE id = :id")
    await connection.execute(change, {"id": account, "new": balance + 1})
    return balance + 1


async def deposit_into(account: int) -> int:
    async with engine.begin() as connection:
        return await deposit_on(connection, account)


api = FastAPI()


@api.get("/")
async def say_that_it_is_there() -> str:
    return "here"


@api.post("/deposit/{account}")
async def deposit(account: int) -> int:
    return await deposit_into(account)


@api.post("/deposit_later/{account}")
async def deposit_later(account: int, background: BackgroundTasks) -> str:
    """Answer, and deposit afterwards, at the same time as the next client."""
    background.add_task(deposit_into, account)
    return "soon"


@api.post("/deposit_twice/{account}")
async def deposit_twice(account: int) -> list[int]:
    """Deposit twice at the same time."""
    return list(await asyncio.gather(deposit_into(account), deposit_into(account + 1)))


@api.post("/transfer/{one}/{other}")
async def transfer(one: int, other: int, response: Response) -> str | None:
    move = text("UPDATE accounts SET balance = balance + :change WHERE id = :id")
    try:
        async with engine.begin() as connection:
            await connection.execute(move, {"id": one, "change": -1})
            await connection.execute(move, {"id": other, "change": 1})
    except DBAPIError as error:
        response.status_code = 409
        return str(getattr(error.orig, "sqlstate", None))
    return None


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def say_for_whom(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    found = asked_by.get()
    return (f"{statement} /*pgdst_client='{found}'*/" if found else statement), parameters


async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    asked_by.set(dict(scope.get("headers", ())).get(b"x-pgdst-client", b"").decode())
    await api(scope, receive, send)
