"""Revisions: a validation may ask for one, and says which one it judged."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007_revisions"
down_revision: str | Sequence[str] | None = "0006_heartbeats"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_validations_verdict_known"), "validations")
    op.create_check_constraint(
        op.f("ck_validations_verdict_known"), "validations", "verdict IN ('approve', 'strengthen', 'reject')"
    )
    op.add_column("proposals", sa.Column("revised_at", sa.DateTime(timezone=True), nullable=True))
    for table in ("proposals", "validations"):
        op.add_column(table, sa.Column("revision", sa.Integer(), nullable=True))
        op.execute(sa.update(sa.table(table, sa.column("revision"))).values(revision=1))
        op.alter_column(table, "revision", nullable=False)
        op.create_check_constraint(op.f(f"ck_{table}_revision_from_one"), table, "revision >= 1")
    op.create_check_constraint(
        op.f("ck_proposals_revised_after_the_first"), "proposals", "(revision = 1) = (revised_at IS NULL)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_proposals_revised_after_the_first"), "proposals")
    op.drop_column("proposals", "revised_at")
    for table in ("proposals", "validations"):
        op.drop_constraint(op.f(f"ck_{table}_revision_from_one"), table)
        op.drop_column(table, "revision")
    op.execute("DELETE FROM validations WHERE verdict = 'strengthen'")  # it decided nothing, and has no word any more
    op.drop_constraint(op.f("ck_validations_verdict_known"), "validations")
    op.create_check_constraint(op.f("ck_validations_verdict_known"), "validations", "verdict IN ('approve', 'reject')")
