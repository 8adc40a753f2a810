"""What must be so of worlds."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgdst import SimulatedClock

from simulation.mirror.part import as_json
from simulation.mirror.proposals import ProposalMirror


@dataclass(frozen=True)
class MirroredWorld:
    """A world, whose premise and year are those of its proposal."""

    id: str
    created_at: datetime


class WorldMirror(ProposalMirror):
    """Worlds, by the name of the proposal that founded them."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.worlds: dict[str, MirroredWorld] = {}

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

    def founded(self, name: str, world: MirroredWorld) -> None:
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
