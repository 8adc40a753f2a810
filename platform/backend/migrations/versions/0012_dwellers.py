"""Dwellers, each in a region of its world."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012_dwellers"
down_revision: str | Sequence[str] | None = "0011_regions"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "dwellers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("world_id", sa.Uuid(), nullable=False),
        sa.Column("region_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("persona", sa.Text(), nullable=False),
        sa.Column("action_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("action_count >= 0", name=op.f("ck_dwellers_action_count_from_zero")),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 100", name=op.f("ck_dwellers_name_length")),
        sa.CheckConstraint("char_length(persona) BETWEEN 1 AND 2000", name=op.f("ck_dwellers_persona_length")),
        sa.ForeignKeyConstraint(
            ["world_id", "region_id"],
            ["regions.world_id", "regions.id"],
            name=op.f("fk_dwellers_world_id_region_id_regions"),
        ),
        sa.ForeignKeyConstraint(["world_id"], ["worlds.id"], name=op.f("fk_dwellers_world_id_worlds")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dwellers")),
        sa.UniqueConstraint("world_id", "name", name=op.f("uq_dwellers_world_id_name")),
    )
    op.create_index(op.f("ix_dwellers_world_id_created_at_id"), "dwellers", ["world_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("dwellers")
