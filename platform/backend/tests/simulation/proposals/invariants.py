"""Invariants of proposals, their chains and their validations."""

from simulation.engine.checks import always
from simulation.proposals.actions import ProposalActions, ValidationActions
from simulation.proposals.model import MAX_OPEN_PROPOSALS


class ProposalInvariants(ProposalActions):
    """Read from the tables proposals and causal_events."""

    @always
    def proposals_are_those_that_were_drafted(self) -> None:
        """P1: the proposals are exactly those that were drafted, with their authors and last premises and years."""
        self.expect_rows(
            {
                proposal.id: (self.model.agents[proposal.author].id, proposal.draft.premise, proposal.draft.year)
                for proposal in self.model.proposals.values()
            },
            "SELECT id::text, author_id::text, premise, year FROM proposals ORDER BY id",
        )

    @always
    def chains_are_kept_event_by_event(self) -> None:
        """P2: a causal chain has the events that were last written, in that order, numbered from 1 without gaps."""
        self.expect_rows(
            {
                (proposal.id, position): tuple(event)
                for proposal in self.model.proposals.values()
                for position, event in enumerate(proposal.draft.chain, start=1)
            },
            "SELECT proposal_id::text, position, year, description FROM causal_events ORDER BY proposal_id, position",
            columns=2,
        )

    @always
    def proposals_have_the_status_they_earned(self) -> None:
        """P3: a proposal is a draft until submitted, validating until decided, and then what was decided."""
        self.expect_rows(
            {proposal.id: proposal.status for proposal in self.model.proposals.values()},
            "SELECT id::text, status FROM proposals ORDER BY id",
        )

    @always
    def nobody_has_more_open_proposals_than_the_cap(self) -> None:
        """P4: an agent has the open proposals it made, and never more than three."""
        counts = self.model.open_proposals()
        self.expect_rows(
            {
                agent.id: min(counts[name], MAX_OPEN_PROPOSALS)
                for name, agent in self.model.agents.items()
                if counts[name]
            },
            "SELECT author_id::text, count(*) FROM proposals WHERE status IN ('draft', 'validating') "
            "GROUP BY author_id ORDER BY author_id",
        )

    @always
    def revisions_are_counted(self) -> None:
        """P5: a proposal has the revision that it was brought to, and each one before was wanted strengthened."""
        self.expect_rows(
            {
                proposal.id: (proposal.revision, list(range(1, proposal.revision)))
                for proposal in self.model.proposals.values()
            },
            "SELECT p.id::text, p.revision, "
            "array(SELECT DISTINCT v.revision FROM validations v WHERE v.proposal_id = p.id "
            "AND v.verdict = 'strengthen' AND v.revision < p.revision ORDER BY 1) "
            "FROM proposals p ORDER BY p.id",
        )


class ValidationInvariants(ValidationActions):
    """Read from the table validations, and from proposals what they led to."""

    @always
    def validations_are_those_that_were_given(self) -> None:
        """V1: the validations are exactly those that were given, with their verdicts and critiques."""
        self.expect_rows(
            {
                vote.id: (proposal.id, self.model.agents[vote.voter].id, vote.verdict, vote.critique)
                for proposal in self.model.proposals.values()
                for vote in proposal.votes.values()
            },
            "SELECT id::text, proposal_id::text, validator_id::text, verdict, critique FROM validations ORDER BY id",
        )

    @always
    def an_agent_validates_a_proposal_once(self) -> None:
        """V2: an agent has at most one validation of a proposal."""
        self.expect_rows(
            {
                (proposal.id, self.model.agents[voter].id): 1
                for proposal in self.model.proposals.values()
                for voter in proposal.votes
            },
            "SELECT proposal_id::text, validator_id::text, count(*) FROM validations GROUP BY 1, 2 ORDER BY 1, 2",
            columns=2,
        )

    @always
    def nobody_validates_its_own_proposal(self) -> None:
        """V3: no validation is by the proposal's author."""
        self.expect_rows(
            {},
            "SELECT v.id::text, p.id::text, v.validator_id::text FROM validations v "
            "JOIN proposals p ON p.id = v.proposal_id AND p.author_id = v.validator_id ORDER BY v.id",
        )

    @always
    def two_of_a_kind_decide(self) -> None:
        """V4: approved means two approvals, rejected two rejections, anything else less than two of either."""
        self.expect_rows(
            {
                proposal.id: (proposal.status, proposal.count("approve"), proposal.count("reject"))
                for proposal in self.model.proposals.values()
            },
            "SELECT p.id::text, p.status, count(*) FILTER (WHERE v.verdict = 'approve'), "
            "count(*) FILTER (WHERE v.verdict = 'reject') "
            "FROM proposals p LEFT JOIN validations v ON v.proposal_id = p.id GROUP BY p.id ORDER BY p.id",
        )

    @always
    def validations_name_the_revision_they_judged(self) -> None:
        """V5: a validation names the revision that its proposal had when it was given."""
        self.expect_rows(
            {vote.id: vote.revision for proposal in self.model.proposals.values() for vote in proposal.votes.values()},
            "SELECT id::text, revision FROM validations ORDER BY id",
        )
