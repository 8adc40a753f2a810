"""Moves around holding dwellers."""

from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.checks import forbidden_move, move
from simulation.harness import Answer
from simulation.mirror.claims import Holding
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, there_are


class ClaimRules(DeepSciFiBaseRules):
    """Claiming dwellers, and letting them go."""

    SOMETIMES = frozenset({"the cap on dwellers refuses"})

    @precondition(there_are(StateMirror.claimable))
    @move(holding=chosen(StateMirror.claimable))
    def claim_a_dweller(self, holding: Holding) -> None:
        """An agent below its cap claims a dweller whom nobody holds, or nobody any more."""
        self.an_agent_claims(holding)

    @precondition(there_are(StateMirror.reclaimable))
    @move(holding=chosen(StateMirror.reclaimable))
    def claim_a_dweller_whose_claim_has_lapsed(self, holding: Holding) -> None:
        """From the instant of the lapse on, anybody claims the dweller, the former holder too."""
        self.an_agent_claims(holding)

    @precondition(there_are(StateMirror.awake_holdings))
    @move(holding=chosen(StateMirror.awake_holdings))
    def release_a_dweller(self, holding: Holding) -> None:
        """A holder lets a dweller go. That a dormant one may, too, is asked in the end (L2)."""
        self.an_agent_releases(holding)

    @precondition(there_are(StateMirror.held_by_others))
    @forbidden_move(holding=chosen(StateMirror.held_by_others))
    def claim_a_dweller_someone_else_holds(self, holding: Holding) -> None:
        """A dweller has one holder, until the very instant of the lapse."""
        self.expect(self._try_to_claim(holding), 409, "dweller_held")

    @precondition(there_are(StateMirror.awake_holdings))
    @forbidden_move(holding=chosen(StateMirror.awake_holdings))
    def claim_a_dweller_one_holds(self, holding: Holding) -> None:
        """Nobody prolongs a claim by claiming again."""
        self.expect(self._try_to_claim(holding), 409, "already_holding")

    @precondition(there_are(StateMirror.beyond_the_cap))
    @forbidden_move(holding=chosen(StateMirror.beyond_the_cap))
    def claim_a_sixth_dweller(self, holding: Holding) -> None:
        """Five dwellers are enough for anybody."""
        answer = self._try_to_claim(holding)
        self.expect(answer, 409, "too_many_dwellers")
        self.sometimes("the cap on dwellers refuses", answer.code == "too_many_dwellers")

    @precondition(there_are(StateMirror.dormant_wishes))
    @forbidden_move(holding=chosen(StateMirror.dormant_wishes))
    def claim_a_dweller_while_dormant(self, holding: Holding) -> None:
        """Who is not heard of holds nobody new."""
        self.expect(self._try_to_claim(holding), 403, "agent_dormant")

    @precondition(there_are(StateMirror.not_held))
    @forbidden_move(holding=chosen(StateMirror.not_held))
    def release_a_dweller_one_does_not_hold(self, holding: Holding) -> None:
        """Nobody ends another's claim, and there is nothing to end where there is none."""
        self.expect(self._try_to_release(holding), 403, "not_the_holder")

    @precondition(there_are(StateMirror.lapsed_holdings))
    @forbidden_move(holding=chosen(StateMirror.lapsed_holdings))
    def release_a_dweller_after_the_lapse(self, holding: Holding) -> None:
        """What has lapsed is not released, although nobody has settled it yet; nor does this settle it."""
        self.expect(self._try_to_release(holding), 403, "not_the_holder")

    def _try_to_claim(self, holding: Holding) -> Answer:
        return self.claim(holding.agent, self.mirror.dwellers[holding.dweller].id)

    def _try_to_release(self, holding: Holding) -> Answer:
        return self.release(holding.agent, self.mirror.dwellers[holding.dweller].id)
