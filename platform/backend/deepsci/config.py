"""What the service reads from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


class ConfigurationError(Exception):
    """The environment lacks something that the service cannot start without."""


@dataclass(frozen=True)
class Settings:
    """The facts that differ from one deployment to the next."""

    database_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings in `environment`.

        Raises: ConfigurationError, when DATABASE_URL is absent or empty.
        """
        url = environment.get("DATABASE_URL", "")
        if not url:
            raise ConfigurationError(
                "DATABASE_URL is not set. Set it to the address of a Postgres 16, "
                "such as postgresql://user:password@127.0.0.1:5432/deepsci"
            )
        return cls(database_url=url)
