"""Invariants of dwellers and of the claims on them."""

from collections import Counter

from simulation.base import DeepSciFiBaseRules
from simulation.checks import always
from simulation.mirror.claims import CLAIM_LASTS, MAX_HELD


class DwellerInvariants(DeepSciFiBaseRules):
    """Read from the tables dwellers and claims."""

    STORED_TIMES = frozenset(
        {
            ("dweller added", "dwellers", "created_at"),
            ("claim made", "claims", "claimed_at"),
            ("claim prolonged", "claims", "last_action_at"),
            ("claim ended", "claims", "ended_at"),
        }
    )

    @always
    def dwellers_are_those_that_were_added(self) -> None:
        """D1: the dwellers are exactly those that were added, in their regions, with their names and personas."""
        self.expect_rows(
            expected={
                dweller.id: (
                    self.mirror.worlds[dweller.world].id,
                    self.mirror.regions[dweller.region].id,
                    dweller.name,
                    dweller.persona,
                )
                for dweller in self.mirror.dwellers.values()
            },
            found=self.rows_by_id(
                "SELECT id::text, world_id::text, region_id::text, name, persona FROM dwellers ORDER BY id"
            ),
        )

    @always
    def names_of_dwellers_are_unique_in_a_world(self) -> None:
        """D2: no two dwellers of a world have the same name."""
        self.expect_rows(
            expected={
                (self.mirror.worlds[dweller.world].id, dweller.name): 1 for dweller in self.mirror.dwellers.values()
            },
            found={
                (world_id, name): count
                for world_id, name, count in self.rows(
                    "SELECT world_id::text, name, count(*) FROM dwellers GROUP BY 1, 2 ORDER BY 1, 2"
                )
            },
        )

    @always
    def a_dweller_has_at_most_one_open_claim(self) -> None:
        """D3: a dweller has at most one claim that has not ended."""
        self.expect_rows(
            expected={self.mirror.dwellers[claim.dweller].id: 1 for claim in self.mirror.open_claims().values()},
            found=self.rows_by_id(
                "SELECT dweller_id::text, count(*) FROM claims WHERE ended_at IS NULL GROUP BY 1 ORDER BY 1"
            ),
        )

    @always
    def claims_are_those_that_were_made(self) -> None:
        """D4: the claims are exactly those that were made, by whom, as old as their last action, ended as they did."""
        self.expect_rows(
            expected={
                claim.id: (
                    self.mirror.dwellers[claim.dweller].id,
                    self.mirror.agents[claim.agent].id,
                    claim.last_action_at,
                    claim.ending,
                )
                for claim in self.mirror.claims.values()
            },
            found=self.rows_by_id(
                "SELECT id::text, dweller_id::text, agent_id::text, last_action_at, ending FROM claims ORDER BY id"
            ),
        )

    @always
    def nobody_holds_more_dwellers_than_the_cap(self) -> None:
        """D5: an agent holds the dwellers that it claimed, and never more than five whose claims have not lapsed."""
        now = self.mirror.now()
        open_claims = self.rows(
            "SELECT agent_id::text, last_action_at FROM claims WHERE ended_at IS NULL ORDER BY agent_id, id"
        )
        self.expect_rows(
            expected={self.mirror.agents[agent].id: min(held, MAX_HELD) for agent, held in self.mirror.held().items()},
            found=Counter(agent_id for agent_id, last_action_at in open_claims if now < last_action_at + CLAIM_LASTS),
        )
