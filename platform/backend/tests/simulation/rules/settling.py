"""How a world came to be settled before an example begins."""

from typing import Final

from simulation.base import DeepSciFiBaseRules
from simulation.mirror.claims import Holding
from simulation.strategies.agents import FIRST_USERNAMES
from simulation.strategies.settlements import FORTUNES, FOUNDER, PAUSES, Events, Resident

# Who comes after whom, where a dweller changes hands.
NEXT: Final = dict(zip(FIRST_USERNAMES, [*FIRST_USERNAMES[1:], FIRST_USERNAMES[0]], strict=True))


class Settling(DeepSciFiBaseRules):
    """What the history of a settlement is made of."""

    def residents_settle(self, world: str, residents: list[Resident]) -> None:
        """Let each resident live in a region of the world, and let happen to it what has happened until now."""
        region = self.an_agent_adds_a_region(FOUNDER, world, "A region", "Plain.")
        dwellers = [
            self.a_founder_adds_a_dweller(region, f"Resident {number}", "Plain.")
            for number in range(1, len(residents) + 1)
        ]
        for time, pause in enumerate(PAUSES):
            for dweller, (holder, fortune) in zip(dwellers, residents, strict=True):
                self._let_happen(FORTUNES[fortune][time], Holding(holder, dweller))
            self.clock.advance(pause)

    def _let_happen(self, events: Events, holding: Holding) -> None:
        for event in events:
            if event == "change hands":
                holding = holding._replace(agent=NEXT[holding.agent])
            else:
                self._let_it_happen(event, holding)

    def _let_it_happen(self, event: str, holding: Holding) -> None:
        match event:
            case "claim":
                self.an_agent_claims(holding)
            case "look":
                self.an_agent_reads_the_context(holding)
            case "act":
                self.an_agent_acts(min(ready for ready in self.mirror.ready() if ready[:2] == holding), "Arrives.")
            case "release":
                self.an_agent_releases(holding)
