"""Bugs around the time."""

from datetime import UTC, datetime
from typing import Any

from deepsci.proposals import service as proposals
from sqlalchemy import update

from simulation.engine import planting as plant


@plant.wrapping("T1", proposals, "submit")
def submissions_are_dated_by_the_wall_clock(
    original: Any, session: Any, clock: Any, agent: Any, proposal_id: Any
) -> Any:
    """One statement takes its time from somewhere else; the answer shows what was meant."""
    proposal = original(session, clock, agent, proposal_id)
    later = update(type(proposal)).where(type(proposal).id == proposal_id).values(submitted_at=datetime.now(UTC))
    session.execute(later, execution_options={"synchronize_session": False})
    return proposal
