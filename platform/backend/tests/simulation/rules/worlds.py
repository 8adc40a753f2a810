"""Moves around worlds."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.checks import forbidden_move, move
from simulation.mirror.validations import Ballot
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, ids_that_name_none_of, there_are
from simulation.strategies.lists import A_FEW


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
        self.expect_page("/worlds", "worlds", self.mirror.world_bodies(), limit)

    @precondition(there_are(StateMirror.founding_ballots))
    @move(limit=A_FEW, ballot=chosen(StateMirror.founding_ballots))
    def read_all_worlds_while_one_is_founded(self, limit: int, ballot: Ballot) -> None:
        """Page by page, nothing is skipped or repeated."""
        self.expect_pages(
            "/worlds",
            "worlds",
            self.mirror.world_bodies,
            limit,
            between=lambda: self.an_agent_votes(ballot.voter, ballot.proposal, "approve", "Let it be."),
        )

    @forbidden_move(world_id=ids_that_name_none_of(StateMirror.world_ids))
    def read_an_unknown_world(self, world_id: str) -> None:
        """The id of a proposal is not the id of its world."""
        self.expect(self.read(f"/worlds/{world_id}"), 404, "world_not_found")
