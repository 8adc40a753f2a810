"""Migrate the database that the settings name."""

from alembic import context
from bookings.models import Base
from bookings.settings import settings
from sqlalchemy import NullPool, create_engine


def run_migrations() -> None:
    """Connect and migrate, in one transaction."""
    engine = create_engine(settings.database_url, poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()


run_migrations()
