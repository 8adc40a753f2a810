"""Dwellers become free."""

from simulation.dwellers.actions import ClaimActions
from simulation.dwellers.model import CLAIM_LASTS
from simulation.engine.checks import eventually


class ClaimLiveness(ClaimActions):
    """No dweller is stuck."""

    @eventually
    def every_claim_can_be_released(self) -> None:
        """L2: every holder, dormant or not, can release every dweller that it holds, and then nobody is held."""
        for holding in sorted(self.model.holdings()):
            self.an_agent_releases(holding)
        now = self.model.now()
        open_claims = self.rows_by_id(
            "SELECT id::text, dweller_id::text, agent_id::text, last_action_at FROM claims "
            "WHERE ended_at IS NULL ORDER BY id"
        )
        self.expect_by_id(
            expected={}, found={claim: held for claim, held in open_claims.items() if now < held[-1] + CLAIM_LASTS}
        )
