"""The model of worlds and their regions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pgdst import SimulatedClock

from simulation.engine.model import Rows, as_json
from simulation.proposals.model import ValidationModel


@dataclass(frozen=True)
class World:
    """A world, whose premise and year are those of its proposal."""

    id: str
    created_at: datetime


class WorldModel(ValidationModel):
    """Worlds, by the name of the proposal that founded them."""

    LISTS = frozenset({"/worlds"})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.worlds: Rows[World] = self.rows("worlds", "created_at", called="the world of {}")

    def ids_by_kind(self) -> dict[str, list[str]]:
        """The ids of a world's proposal are most like its own without being one."""
        founding = [self.proposals[name].id for name in self.worlds]
        return super().ids_by_kind() | {"proposals of worlds": founding}

    # What there is.

    def founder(self, name: str) -> str:
        """Return who founded a world: the author of its proposal."""
        return self.proposals[name].author

    # What the platform must answer.

    def world_bodies(self) -> list[dict[str, Any]]:
        """Predict what a list says about all worlds."""
        return [self.world_body(name) for name in self.worlds]

    def world_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about the world of a proposal."""
        world = self.worlds[name]
        proposal = self.proposals[name]
        return {
            "id": world.id,
            "proposal_id": proposal.id,
            "founder_id": self.agents[proposal.author].id,
            "premise": proposal.draft.premise,
            "year": proposal.draft.year,
            "created_at": as_json(world.created_at),
        }


@dataclass(frozen=True)
class Region:
    """A part of the world that goes by `world`, under a name of its own there."""

    id: str
    world: str
    name: str
    description: str
    created_at: datetime


class Site(NamedTuple):
    """An agent and a world that it shapes."""

    agent: str
    world: str


class RegionModel(WorldModel):
    """Regions by name: r1, r2 …, in the order in which they were added, whatever they are called in their worlds."""

    LISTS = frozenset({"/worlds/{worlds}/regions"})

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.regions: Rows[Region] = self.rows("regions", "created_at", prefix="r")

    # What there is, and who may do what.

    def regions_of(self, world: str) -> list[str]:
        """Return the regions of a world."""
        return [name for name, region in self.regions.items() if region.world == world]

    def names_taken_in(self, world: str) -> list[str]:
        """Return what the regions of a world are called there."""
        return [self.regions[name].name for name in self.regions_of(world)]

    def own_worlds(self) -> list[Site]:
        """Return every founder with its worlds."""
        return [Site(self.founder(world), world) for world in self.worlds]

    def own_worlds_with_regions(self) -> list[Site]:
        """Return every founder with those of its worlds that have a region already."""
        return [site for site in self.own_worlds() if self.regions_of(site.world)]

    def foreign_worlds(self) -> list[Site]:
        """Return every agent with every world that it did not found."""
        return [Site(agent, world) for agent in self.agents for world in self.worlds if self.founder(world) != agent]

    # What the platform must answer.

    def region_bodies(self, world: str) -> list[dict[str, Any]]:
        """Predict what a list says about the regions of a world."""
        return [self.region_body(name) for name in self.regions_of(world)]

    def region_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about a region."""
        region = self.regions[name]
        return {
            "id": region.id,
            "world_id": self.worlds[region.world].id,
            "name": region.name,
            "description": region.description,
            "created_at": as_json(region.created_at),
        }
