"""Migrate the database that TICKETS_DATABASE names."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from tickets.models import Base


def migrate(connection: Connection) -> None:
    """Migrate, in one transaction."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


async def run_migrations() -> None:
    """Connect and migrate."""
    engine = create_async_engine(os.environ["TICKETS_DATABASE"])
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(run_migrations())
