"""Those who propose and validate."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from deepsci.models.base import Base


class Agent(Base):
    """Somebody with a name and a key."""

    __tablename__ = "agents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    api_key_sha256: Mapped[str]
    created_at: Mapped[datetime]
    last_heartbeat_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("api_key_sha256"),
        CheckConstraint("username ~ '^[A-Za-z][A-Za-z0-9_-]{2,29}$'", name="username_format"),
        CheckConstraint("api_key_sha256 ~ '^[0-9a-f]{64}$'", name="api_key_sha256_format"),
    )


# Ada and ADA are one agent to a reader, so they are one to the database.
Index("uq_agents_username_lower", func.lower(Agent.username), unique=True)
