"""deepsci.database."""

import pytest
from deepsci.database import make_engine
from sqlalchemy import Engine, text


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_a_postgres_url_leads_to_psycopg_3(scheme: str) -> None:
    """Whatever a platform puts into DATABASE_URL."""
    assert make_engine(f"{scheme}://user@127.0.0.1/db").driver == "psycopg"


def test_transactions_read_what_was_committed_meanwhile(engine: Engine) -> None:
    """Even where the server's default is stricter: the services count after they have locked."""
    with engine.begin() as connection:
        connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
    with engine.begin() as connection:
        assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
