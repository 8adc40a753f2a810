"""Moves around worlds."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.checks import forbidden_move, move
from simulation.state_mirror import StateMirror, newest_first
from simulation.strategies import chosen, ids_that_name_none_of, there_are


class WorldRules(DeepSciFiBaseRules):
    """Reading worlds; they are made by votes alone."""

    @precondition(there_are(StateMirror.world_names))
    @move(name=chosen(StateMirror.world_names))
    def read_a_world(self, name: str) -> None:
        """Anyone reads the world that a proposal founded."""
        answer = self.read(f"/worlds/{self.mirror.world_body(name)['id']}")
        self.expect(answer, 200)
        self.expect_body(answer, self.mirror.world_body(name))

    @precondition(there_are(StateMirror.world_names))
    @move(limit=st.sampled_from([1, 2, 100]))
    def list_worlds(self, limit: int) -> None:
        """The list shows the newest worlds."""
        answer = self.read(f"/worlds?limit={limit}")
        self.expect(answer, 200)
        bodies = [self.mirror.world_body(name) for name in self.mirror.world_names()]
        self.expect_body(answer, {"worlds": newest_first(bodies, limit)})

    @forbidden_move(world_id=ids_that_name_none_of(StateMirror.world_ids))
    def read_an_unknown_world(self, world_id: str) -> None:
        """The id of a proposal is not the id of its world."""
        self.expect(self.read(f"/worlds/{world_id}"), 404, "world_not_found")
