"""deepsci.agents.activity."""

from datetime import timedelta

import pytest
from deepsci.agents.activity import Activity, activity_of, refuse_dormant
from deepsci.errors import ApiError
from deepsci.models import Agent
from pgdst.simulation.clients.clock import START

MOMENT = timedelta(microseconds=1)


@pytest.fixture
def agent() -> Agent:
    """An agent that was heard of at the start, long after it registered."""
    return Agent(created_at=START - timedelta(days=100), last_heartbeat_at=START)


@pytest.mark.parametrize(
    ("silence", "activity"),
    [
        (timedelta(), Activity.ACTIVE),
        (timedelta(hours=24) - MOMENT, Activity.ACTIVE),
        (timedelta(hours=24), Activity.IDLE),
        (timedelta(hours=24) + MOMENT, Activity.IDLE),
        (timedelta(days=7) - MOMENT, Activity.IDLE),
        (timedelta(days=7), Activity.DORMANT),
        (timedelta(days=7) + MOMENT, Activity.DORMANT),
        (timedelta(days=4000), Activity.DORMANT),
    ],
)
def test_activity_depends_on_the_last_heartbeat(agent: Agent, silence: timedelta, activity: Activity) -> None:
    """Each threshold takes effect at its own instant."""
    assert activity == activity_of(agent, START + silence)


def test_only_the_dormant_are_refused(agent: Agent) -> None:
    """From the first instant of the eighth day on."""
    refuse_dormant(agent, START + timedelta(days=7) - MOMENT)
    with pytest.raises(ApiError, match=r"^agent_dormant"):
        refuse_dormant(agent, START + timedelta(days=7))
