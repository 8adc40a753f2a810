"""What must be so of worlds and their regions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pgdst import SimulatedClock

from simulation.engine.model import as_json
from simulation.proposals.model import ValidationModel


@dataclass(frozen=True)
class World:
    """A world, whose premise and year are those of its proposal."""

    id: str
    created_at: datetime


class WorldModel(ValidationModel):
    """Worlds, by the name of the proposal that founded them."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.worlds: dict[str, World] = {}

    def names_by_id(self) -> dict[str, str]:
        """A world goes by its proposal."""
        return super().names_by_id() | {world.id: f"the world of {name}" for name, world in self.worlds.items()}

    def kinds_of_ids(self) -> list[list[str]]:
        """Worlds are a kind, and their proposals' ids are most like theirs without being one."""
        return [*super().kinds_of_ids(), self.world_ids(), [self.proposals[name].id for name in self.worlds]]

    def times(self) -> dict[tuple[str, str], datetime]:
        """Worlds are founded."""
        return super().times() | {("world founded", world.id): world.created_at for world in self.worlds.values()}

    def lists(self) -> list[str]:
        """Worlds are listed."""
        return [*super().lists(), "/worlds"]

    # What happened.

    def founded(self, name: str, world: World) -> None:
        """An approved proposal has its world."""
        self.worlds[name] = world

    # What there is.

    def world_names(self) -> list[str]:
        """Return the proposals that founded a world."""
        return list(self.worlds)

    def world_ids(self) -> list[str]:
        """Return the ids that name worlds."""
        return [world.id for world in self.worlds.values()]

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
    """Who shapes which world."""

    agent: str
    world: str


class RegionModel(WorldModel):
    """Regions by name: r1, r2 …, in the order in which they were added, whatever they are called in their worlds."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.regions: dict[str, Region] = {}

    def names_by_id(self) -> dict[str, str]:
        """Regions are r1, r2 …"""
        return super().names_by_id() | {region.id: name for name, region in self.regions.items()}

    def kinds_of_ids(self) -> list[list[str]]:
        """Regions are a kind."""
        return [*super().kinds_of_ids(), self.region_ids()]

    def times(self) -> dict[tuple[str, str], datetime]:
        """Regions are added."""
        return super().times() | {("region added", region.id): region.created_at for region in self.regions.values()}

    def lists(self) -> list[str]:
        """The regions of each world are listed."""
        return [*super().lists(), *(f"/worlds/{world.id}/regions" for world in self.worlds.values())]

    # What happened.

    def region_added(self, region: Region) -> str:
        """A world has one more region; return its name."""
        name = f"r{len(self.regions) + 1}"
        self.regions[name] = region
        return name

    # What there is, and who may do what.

    def region_names(self) -> list[str]:
        """Return the regions."""
        return list(self.regions)

    def region_ids(self) -> list[str]:
        """Return the ids that name regions."""
        return [region.id for region in self.regions.values()]

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
