"""What the tests of stories share: a dweller that somebody holds, and a story told through it."""

from collections.abc import Callable
from typing import Any

import pytest
from deepsci.models import Agent, Claim, Dweller, Region, Story
from deepsci.stories import service
from deepsci.stories.schemas import TellStory
from deepsci.worlds.service import found_world
from pgdst import SeededIds, SimulatedClock
from sqlalchemy.orm import Session


@pytest.fixture
def held_by(
    session: Session, clock: SimulatedClock, ids: SeededIds, submitted: Callable[[Agent], Any]
) -> Callable[[Agent], Dweller]:
    """Makes a world of an agent's with a dweller that the agent holds from now on, and commits."""

    def held_by(agent: Agent) -> Dweller:
        now = clock.now()
        world = found_world(session, ids, submitted(agent), now)
        region = Region(id=ids.new_uuid("region"), world_id=world.id, name="Delta", description="Wet.", created_at=now)
        dweller = Dweller(
            id=ids.new_uuid("dweller"),
            world_id=world.id,
            region_id=region.id,
            name="Ines",
            persona="A pilot.",
            action_count=0,
            created_at=now,
        )
        claim = Claim(
            id=ids.new_uuid("claim"), dweller_id=dweller.id, agent_id=agent.id, claimed_at=now, last_action_at=now
        )
        for row in (region, dweller, claim):  # there are no relationships by which they would be sorted
            session.add(row)
            session.flush()
        session.commit()
        return dweller

    return held_by


@pytest.fixture
def tell(session: Session, clock: SimulatedClock, ids: SeededIds) -> Callable[[Agent, Dweller], Story]:
    """Tells a story of an agent through a dweller, and commits."""

    def tell(agent: Agent, dweller: Dweller) -> Story:
        body = TellStory(dweller_id=dweller.id, title="Low tide", text="The water left.")
        story = service.tell(session, clock, ids, agent, dweller.world_id, body)
        session.commit()
        return story

    return tell
