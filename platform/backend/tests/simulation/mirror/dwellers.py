"""What must be so of dwellers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pgdst import SimulatedClock

from simulation.mirror.part import as_json
from simulation.mirror.regions import RegionMirror


class Place(NamedTuple):
    """A name that a dweller may bear in a region."""

    region: str
    name: str


class Settler(NamedTuple):
    """Who would like to add somebody where."""

    agent: str
    region: str


class Stray(NamedTuple):
    """Who would like to add somebody to a world, in a region that is not there."""

    agent: str
    world: str
    region: str


@dataclass(frozen=True)
class MirroredDweller:
    """Somebody who lives in a region of a world; both are the mirror's names, the name is the dweller's own."""

    id: str
    world: str
    region: str
    name: str
    persona: str
    created_at: datetime


class DwellerMirror(RegionMirror):
    """Dwellers: d1, d2 …, in the order in which they were added; their own names are free for others elsewhere."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.dwellers: dict[str, MirroredDweller] = {}

    def names_by_id(self) -> dict[str, str]:
        """Dwellers are d1, d2 …"""
        return super().names_by_id() | {dweller.id: name for name, dweller in self.dwellers.items()}

    def kinds_of_ids(self) -> list[list[str]]:
        """Dwellers are a kind."""
        return [*super().kinds_of_ids(), self.dweller_ids()]

    def times(self) -> dict[tuple[str, str], datetime]:
        """Dwellers are added."""
        dwellers = self.dwellers.values()
        return super().times() | {("dweller added", dweller.id): dweller.created_at for dweller in dwellers}

    def lists(self) -> list[str]:
        """The dwellers of each world are listed."""
        return [*super().lists(), *(f"/worlds/{world.id}/dwellers" for world in self.worlds.values())]

    # What happened.

    def dweller_added(self, dweller: MirroredDweller) -> str:
        """A world has one more dweller; return what it is called here."""
        name = f"d{len(self.dwellers) + 1}"
        self.dwellers[name] = dweller
        return name

    # What there is, and who may do what.

    def dweller_names(self) -> list[str]:
        """Return the dwellers."""
        return list(self.dwellers)

    def dweller_ids(self) -> list[str]:
        """Return the ids that name dwellers."""
        return [dweller.id for dweller in self.dwellers.values()]

    def dwellers_of(self, world: str) -> list[str]:
        """Return the dwellers of a world."""
        return [name for name, dweller in self.dwellers.items() if dweller.world == world]

    def places(self, *names: str) -> list[Place]:
        """Return which of these names dwellers may bear, in each region whose world has not seen them yet."""
        return [Place(region, name) for region in self.regions for name in names if not self._is_taken(region, name)]

    def taken_places(self) -> list[Place]:
        """Return the names that dwellers bear, with each region of their worlds."""
        return [
            Place(region, self.dwellers[dweller].name)
            for region, mirrored in self.regions.items()
            for dweller in self.dwellers_of(mirrored.world)
        ]

    def foreign_regions(self) -> list[Settler]:
        """Return every agent with every region of a world that it did not found."""
        return [Settler(agent, region) for agent, world in self.foreign_worlds() for region in self.regions_of(world)]

    def beyond_the_border(self) -> list[Stray]:
        """Return every founder with its worlds, and every region of another world."""
        return [
            Stray(agent, world, name)
            for agent, world in self.own_worlds()
            for name, region in self.regions.items()
            if region.world != world
        ]

    def _is_taken(self, region: str, name: str) -> bool:
        return any(self.dwellers[dweller].name == name for dweller in self.dwellers_of(self.regions[region].world))

    # What the platform must answer.

    def dweller_body(self, name: str) -> dict[str, Any]:
        """Predict what anyone reads about a dweller; what happens to it is added by the domains above."""
        dweller = self.dwellers[name]
        return {
            "id": dweller.id,
            "world_id": self.worlds[dweller.world].id,
            "region_id": self.regions[dweller.region].id,
            "name": dweller.name,
            "persona": dweller.persona,
            "created_at": as_json(dweller.created_at),
        }
