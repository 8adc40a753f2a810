"""The settings of the database: variables POSTGRES_… of the environment, else of the file .env."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL


class Settings(BaseSettings):
    """Each field is read from the variable of its name, in capitals."""

    model_config = SettingsConfigDict(env_file=Path(__file__).parents[1] / ".env")

    postgres_server: str
    postgres_port: int = 5432
    postgres_db: str
    postgres_user: str
    postgres_password: str

    @property
    def database_url(self) -> URL:
        """The URL for SQLAlchemy, with the password."""
        return URL.create(
            "postgresql+psycopg",
            host=self.postgres_server,
            port=self.postgres_port,
            database=self.postgres_db,
            username=self.postgres_user,
            password=self.postgres_password,
        )


settings = Settings()
