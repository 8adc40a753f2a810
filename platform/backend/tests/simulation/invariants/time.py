"""The invariant of time, across all tables."""

from datetime import datetime

from simulation.base import DeepSciFiBaseRules
from simulation.checks import always

EVERY_STORED_TIME = """
SELECT 'agent registered', id::text, created_at FROM agents
UNION ALL SELECT 'proposal drafted', id::text, created_at FROM proposals
UNION ALL SELECT 'proposal submitted', id::text, submitted_at FROM proposals WHERE submitted_at IS NOT NULL
UNION ALL SELECT 'proposal decided', id::text, decided_at FROM proposals WHERE decided_at IS NOT NULL
UNION ALL SELECT 'validation given', id::text, created_at FROM validations
UNION ALL SELECT 'world founded', id::text, created_at FROM worlds
ORDER BY 1, 2
"""


class TimeInvariants(DeepSciFiBaseRules):
    """Read from every column that holds a time."""

    @always
    def stored_times_are_simulated_times(self) -> None:
        """T1: every stored time is the simulated time of the request that stored it."""
        self.expect_rows(
            expected=self._predicted_times(),
            found={(event, row_id): time for event, row_id, time in self.rows(EVERY_STORED_TIME)},
        )

    def _predicted_times(self) -> dict[tuple[str, str], datetime]:
        agents = self.mirror.agents.values()
        proposals = self.mirror.proposals.values()
        votes = [vote for proposal in proposals for vote in proposal.votes.values()]
        worlds = [proposal.world for proposal in proposals if proposal.world is not None]
        return {
            **{("agent registered", agent.id): agent.created_at for agent in agents},
            **{("proposal drafted", proposal.id): proposal.created_at for proposal in proposals},
            **{("proposal submitted", p.id): p.submitted_at for p in proposals if p.submitted_at is not None},
            **{("proposal decided", p.id): p.decided_at for p in proposals if p.decided_at is not None},
            **{("validation given", vote.id): vote.created_at for vote in votes},
            **{("world founded", world.id): world.created_at for world in worlds},
        }
