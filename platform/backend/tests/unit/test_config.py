"""deepsci.config and what is made from the environment."""

import pytest
from deepsci.config import ConfigurationError, Settings
from deepsci.main import app_from_environment


def test_the_database_comes_from_the_environment() -> None:
    """DATABASE_URL, as it stands there."""
    assert Settings.from_environment({"DATABASE_URL": "postgresql://there/db"}).database_url == "postgresql://there/db"


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": ""}])
def test_without_a_database_the_service_does_not_start(environment: dict[str, str]) -> None:
    """It says which variable to set, and does not guess an address."""
    with pytest.raises(ConfigurationError, match="DATABASE_URL is not set"):
        Settings.from_environment(environment)


def test_the_deployed_application_reads_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The factory that uvicorn calls needs nothing but DATABASE_URL, and connects to nothing yet."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert app_from_environment().title == "Deep Sci-Fi"
