"""Regions of a world."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011_regions"
down_revision: str | Sequence[str] | None = "0010_founders"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "regions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("world_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(description) BETWEEN 1 AND 2000", name=op.f("ck_regions_description_length")),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 100", name=op.f("ck_regions_name_length")),
        sa.ForeignKeyConstraint(["world_id"], ["worlds.id"], name=op.f("fk_regions_world_id_worlds")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_regions")),
        sa.UniqueConstraint("world_id", "id", name=op.f("uq_regions_world_id_id")),
        sa.UniqueConstraint("world_id", "name", name=op.f("uq_regions_world_id_name")),
    )
    op.create_index(op.f("ix_regions_world_id_created_at_id"), "regions", ["world_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("regions")
