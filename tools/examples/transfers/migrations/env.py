"""Migrate the database that TRANSFERS_DATABASE names."""

import os

from alembic import context
from sqlalchemy import NullPool, create_engine
from transfers.models import Base

with create_engine(os.environ["TRANSFERS_DATABASE"], poolclass=NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
