"""How Alembic reaches the database, in this order.

The connection that a caller put into `config.attributes["connection"]`; else the `sqlalchemy.url` main option; else
DATABASE_URL.
"""

import os
from logging.config import fileConfig

from alembic import context
from deepsci.config import Settings
from deepsci.database import make_engine
from deepsci.models import Base
from sqlalchemy import Connection


def database_url() -> str:
    """Return the URL to migrate when no connection was handed in.

    Raises: deepsci.config.ConfigurationError, when neither Alembic's configuration nor the environment names one.
    """
    configured = context.config.get_main_option("sqlalchemy.url")
    return configured or Settings.from_environment(os.environ).database_url


def migrate_on(connection: Connection) -> None:
    """Run what the command asks for on an open connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_on_own_connection() -> None:
    """Run what the command asks for on a connection of its own, talking on stderr as alembic.ini says."""
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    engine = make_engine(database_url())
    with engine.connect() as connection:
        migrate_on(connection)
    engine.dispose()


def print_sql() -> None:
    """Print the SQL instead of running it (`alembic upgrade head --sql`)."""
    context.configure(url=database_url(), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


given_connection = context.config.attributes.get("connection")
if context.is_offline_mode():
    print_sql()
elif given_connection is not None:
    migrate_on(given_connection)
else:
    migrate_on_own_connection()
