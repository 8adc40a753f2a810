"""Invariants of dwellers, of the claims on them and of their actions."""

import hashlib
from collections import Counter

from simulation.dwellers.actions import ActingActions, ClaimActions
from simulation.dwellers.model import CLAIM_LASTS, MAX_HELD
from simulation.engine.checks import always


class DwellerInvariants(ClaimActions):
    """Read from the tables dwellers and claims."""

    @always
    def dwellers_are_those_that_were_added(self) -> None:
        """D1: the dwellers are exactly those that were added, in their regions, with their names and personas."""
        self.expect_rows(
            {
                dweller.id: (
                    self.model.worlds[dweller.world].id,
                    self.model.regions[dweller.region].id,
                    dweller.name,
                    dweller.persona,
                )
                for dweller in self.model.dwellers.values()
            },
            "SELECT id::text, world_id::text, region_id::text, name, persona FROM dwellers ORDER BY id",
        )

    @always
    def names_of_dwellers_are_unique_in_a_world(self) -> None:
        """D2: no two dwellers of a world have the same name."""
        self.expect_rows(
            {(self.model.worlds[dweller.world].id, dweller.name): 1 for dweller in self.model.dwellers.values()},
            "SELECT world_id::text, name, count(*) FROM dwellers GROUP BY 1, 2 ORDER BY 1, 2",
            columns=2,
        )

    @always
    def a_dweller_has_at_most_one_open_claim(self) -> None:
        """D3: a dweller has at most one claim that has not ended."""
        self.expect_rows(
            {self.model.dwellers[claim.dweller].id: 1 for claim in self.model.open_claims().values()},
            "SELECT dweller_id::text, count(*) FROM claims WHERE ended_at IS NULL GROUP BY 1 ORDER BY 1",
        )

    @always
    def claims_are_those_that_were_made(self) -> None:
        """D4: the claims are exactly those that were made, by whom, as old as their last action, ended as they did."""
        self.expect_rows(
            {
                claim.id: (
                    self.model.dwellers[claim.dweller].id,
                    self.model.agents[claim.agent].id,
                    claim.last_action_at,
                    claim.ending,
                )
                for claim in self.model.claims.values()
            },
            "SELECT id::text, dweller_id::text, agent_id::text, last_action_at, ending FROM claims ORDER BY id",
        )

    @always
    def nobody_holds_more_dwellers_than_the_cap(self) -> None:
        """D5: an agent holds the dwellers that it claimed, and never more than five whose claims have not lapsed."""
        now = self.model.now()
        open_claims = self.rows(
            "SELECT agent_id::text, last_action_at FROM claims WHERE ended_at IS NULL ORDER BY agent_id, id"
        )
        self.expect_by_id(
            expected={self.model.agents[agent].id: min(held, MAX_HELD) for agent, held in self.model.held().items()},
            found=Counter(agent_id for agent_id, last_action_at in open_claims if now < last_action_at + CLAIM_LASTS),
        )


class DwellerActionInvariants(ActingActions):
    """Read from the tables context_tokens and actions, and from dwellers how many there are."""

    @always
    def actions_of_a_dweller_are_numbered_without_gaps(self) -> None:
        """C1: the actions of a dweller are numbered 1, 2, 3 … without gaps, and it has as many as it says."""
        self.expect_rows(
            {
                dweller.id: (len(actions), list(range(1, len(actions) + 1)))
                for name, dweller in self.model.dwellers.items()
                for actions in [self.model.actions_of(name)]
            },
            "SELECT d.id::text, d.action_count, "
            "coalesce(array_agg(a.number ORDER BY a.number) FILTER (WHERE a.id IS NOT NULL), '{}') "
            "FROM dwellers d LEFT JOIN actions a ON a.dweller_id = d.id GROUP BY d.id ORDER BY d.id",
        )

    @always
    def actions_are_those_that_were_done(self) -> None:
        """C2: the actions are exactly those that were done, through which dweller and by whom."""
        self.expect_rows(
            {
                action.id: (self.model.dwellers[action.dweller].id, self.model.agents[action.agent].id, action.deed)
                for action in self.model.actions.values()
            },
            "SELECT id::text, dweller_id::text, agent_id::text, deed FROM actions ORDER BY id",
        )

    @always
    def an_action_spends_one_token_of_its_claim(self) -> None:
        """C3: an action spends the token that was shown for it, of the claim it was done under, and no other."""
        done_with = {action.token: action.id for action in self.model.actions.values()}
        self.expect_rows(
            {
                token.id: (self.model.claims[token.claim].id, token.spent_at is not None, done_with.get(name))
                for name, token in self.model.tokens.items()
            },
            "SELECT t.id::text, t.claim_id::text, t.spent_at IS NOT NULL, "
            "string_agg(a.id::text, ' and ' ORDER BY a.id) "
            "FROM context_tokens t LEFT JOIN actions a ON a.context_token_id = t.id GROUP BY t.id ORDER BY t.id",
        )

    @always
    def tokens_are_kept_as_their_hash(self) -> None:
        """C4: of a context token, its SHA-256 is kept and nothing else."""
        self.expect_rows(
            {token.id: hashlib.sha256(token.secret.encode()).hexdigest() for token in self.model.tokens.values()},
            "SELECT id::text, token_sha256 FROM context_tokens ORDER BY id",
        )

    @always
    def no_token_is_spent_late_or_twice(self) -> None:
        """C5: no token is spent from its tenth minute on, and none by two actions."""
        self.expect_rows(
            {},
            "SELECT t.id::text, t.issued_at, t.spent_at, count(*) "
            "FROM context_tokens t JOIN actions a ON a.context_token_id = t.id GROUP BY t.id "
            "HAVING t.spent_at >= t.issued_at + interval '10 minutes' OR count(*) > 1 ORDER BY t.id",
        )
