"""Proposals come to an end."""

from simulation.agents.strategies import NEWCOMERS
from simulation.engine.checks import eventually
from simulation.proposals.actions import ValidationActions
from simulation.proposals.model import VOTES_TO_DECIDE, Ballot


class ProposalLiveness(ValidationActions):
    """No proposal is stuck."""

    @eventually
    def every_validating_proposal_can_be_decided(self) -> None:
        """L1: after a bounded number of honest moves every validating proposal can be decided."""
        for name in self.model.proposals_that_are("validating"):
            for _ in range(VOTES_TO_DECIDE - self.model.proposals[name].count("approve")):
                voter = self._an_honest_voter(name)
                self.an_agent_is_awake(voter)
                self.an_agent_votes(Ballot(voter, name), "approve", "Nothing speaks against it.")
        self.expect_rows({}, "SELECT id::text, status FROM proposals WHERE status = 'validating' ORDER BY id")

    def _an_honest_voter(self, proposal: str) -> str:
        voters = sorted(self.model.voters_that_are_left(proposal))
        if voters:
            return voters[0]
        newcomer = next(name for name in NEWCOMERS if name not in self.model.agents)
        self.an_agent_registers(newcomer)
        return newcomer
