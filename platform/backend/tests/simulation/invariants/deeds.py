"""Invariants of actions and of the context tokens that they are done with."""

import hashlib

from simulation.base import DeepSciFiBaseRules
from simulation.checks import always


class DeedInvariants(DeepSciFiBaseRules):
    """Read from the tables context_tokens and actions, and from dwellers how many there are."""

    STORED_TIMES = frozenset(
        {
            ("context token given", "context_tokens", "issued_at"),
            ("context token spent", "context_tokens", "spent_at"),
            ("action done", "actions", "created_at"),
        }
    )

    @always
    def actions_of_a_dweller_are_numbered_without_gaps(self) -> None:
        """C1: the actions of a dweller are numbered 1, 2, 3 … without gaps, and it has as many as it says."""
        self.expect_rows(
            expected={
                dweller.id: (len(actions), list(range(1, len(actions) + 1)))
                for name, dweller in self.mirror.dwellers.items()
                for actions in [self.mirror.actions_of(name)]
            },
            found=self.rows_by_id(
                "SELECT d.id::text, d.action_count, "
                "coalesce(array_agg(a.number ORDER BY a.number) FILTER (WHERE a.id IS NOT NULL), '{}') "
                "FROM dwellers d LEFT JOIN actions a ON a.dweller_id = d.id GROUP BY d.id ORDER BY d.id"
            ),
        )

    @always
    def actions_are_those_that_were_done(self) -> None:
        """C2: the actions are exactly those that were done, through which dweller and by whom."""
        self.expect_rows(
            expected={
                action.id: (self.mirror.dwellers[action.dweller].id, self.mirror.agents[action.agent].id, action.deed)
                for action in self.mirror.actions
            },
            found=self.rows_by_id("SELECT id::text, dweller_id::text, agent_id::text, deed FROM actions ORDER BY id"),
        )

    @always
    def an_action_spends_one_token_of_its_claim(self) -> None:
        """C3: an action spends the token that was shown for it, of the claim it was done under, and no other."""
        done_with = {action.token: action.id for action in self.mirror.actions}
        self.expect_rows(
            expected={
                token.id: (self.mirror.claims[token.claim].id, token.spent_at is not None, done_with.get(name))
                for name, token in self.mirror.tokens.items()
            },
            found=self.rows_by_id(
                "SELECT t.id::text, t.claim_id::text, t.spent_at IS NOT NULL, "
                "string_agg(a.id::text, ' and ' ORDER BY a.id) "
                "FROM context_tokens t LEFT JOIN actions a ON a.context_token_id = t.id GROUP BY t.id ORDER BY t.id"
            ),
        )

    @always
    def tokens_are_kept_as_their_hash(self) -> None:
        """C4: of a context token, its SHA-256 is kept and nothing else."""
        self.expect_rows(
            expected={
                token.id: hashlib.sha256(token.secret.encode()).hexdigest() for token in self.mirror.tokens.values()
            },
            found=self.rows_by_id("SELECT id::text, token_sha256 FROM context_tokens ORDER BY id"),
        )

    @always
    def no_token_is_spent_late_or_twice(self) -> None:
        """C5: no token is spent from its tenth minute on, and none by two actions."""
        self.expect_rows(
            expected={},
            found=self.rows_by_id(
                "SELECT t.id::text, t.issued_at, t.spent_at, count(*) "
                "FROM context_tokens t JOIN actions a ON a.context_token_id = t.id GROUP BY t.id "
                "HAVING t.spent_at >= t.issued_at + interval '10 minutes' OR count(*) > 1 ORDER BY t.id"
            ),
        )
