"""Invariants of validations."""

from simulation.base import DeepSciFiBaseRules
from simulation.checks import always


class ValidationInvariants(DeepSciFiBaseRules):
    """Read from the table validations, and from proposals what they led to."""

    STORED_TIMES = frozenset({("validation given", "validations", "created_at")})

    @always
    def validations_are_those_that_were_given(self) -> None:
        """V1: the validations are exactly those that were given, with their verdicts and critiques."""
        self.expect_rows(
            expected={
                vote.id: (proposal.id, self.mirror.agents[vote.voter].id, vote.verdict, vote.critique)
                for proposal in self.mirror.proposals.values()
                for vote in proposal.votes.values()
            },
            found=self.rows_by_id(
                "SELECT id::text, proposal_id::text, validator_id::text, verdict, critique FROM validations ORDER BY id"
            ),
        )

    @always
    def an_agent_validates_a_proposal_once(self) -> None:
        """V2: an agent has at most one validation of a proposal."""
        self.expect_rows(
            expected={
                (proposal.id, self.mirror.agents[voter].id): 1
                for proposal in self.mirror.proposals.values()
                for voter in proposal.votes
            },
            found={
                (proposal_id, validator_id): count
                for proposal_id, validator_id, count in self.rows(
                    "SELECT proposal_id::text, validator_id::text, count(*) FROM validations "
                    "GROUP BY 1, 2 ORDER BY 1, 2"
                )
            },
        )

    @always
    def nobody_validates_its_own_proposal(self) -> None:
        """V3: no validation is by the proposal's author."""
        self.expect_rows(
            expected={},
            found=self.rows_by_id(
                "SELECT v.id::text, p.id::text, v.validator_id::text FROM validations v "
                "JOIN proposals p ON p.id = v.proposal_id AND p.author_id = v.validator_id ORDER BY v.id"
            ),
        )

    @always
    def two_of_a_kind_decide(self) -> None:
        """V4: approved means two approvals, rejected two rejections, anything else less than two of either."""
        self.expect_rows(
            expected={
                proposal.id: (proposal.status, proposal.count("approve"), proposal.count("reject"))
                for proposal in self.mirror.proposals.values()
            },
            found=self.rows_by_id(
                "SELECT p.id::text, p.status, count(*) FILTER (WHERE v.verdict = 'approve'), "
                "count(*) FILTER (WHERE v.verdict = 'reject') "
                "FROM proposals p LEFT JOIN validations v ON v.proposal_id = p.id GROUP BY p.id ORDER BY p.id"
            ),
        )

    @always
    def validations_name_the_revision_they_judged(self) -> None:
        """V5: a validation names the revision that its proposal had when it was given."""
        self.expect_rows(
            expected={
                vote.id: vote.revision
                for proposal in self.mirror.proposals.values()
                for vote in proposal.votes.values()
            },
            found=self.rows_by_id("SELECT id::text, revision FROM validations ORDER BY id"),
        )
