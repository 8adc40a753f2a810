"""What happened before an example begins."""

import operator
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from simulation.base import DeepSciFiBaseRules
from simulation.state_mirror import Draft, Event
from simulation.strategies import FIRST_USERNAMES, LAST_YEAR

PLAIN_DRAFT: Final = Draft("Plain.", LAST_YEAR, (Event(1, "One."), Event(2, "Two."), Event(3, "Three.")))

# How far a proposal has come, as the verdicts given on it; None is a draft. The simplest first, as shrinking likes it.
STAGES: Final[dict[str, tuple[str, ...] | None]] = {
    "draft": None,
    "validating": (),
    "with one approval": ("approve",),
    "with one rejection": ("reject",),
    "disputed": ("approve", "reject"),
    "approved": ("approve", "approve"),
    "rejected": ("reject", "reject"),
}
OPEN_STAGES: Final = ("draft", "validating", "with one approval", "with one rejection", "disputed")
DECIDED_STAGES: Final = ("approved", "rejected")
ANY_STAGES: Final = st.lists(st.sampled_from(tuple(STAGES)), max_size=3)
# The first author has the first three, the second the next, so that nobody exceeds the cap. In half of the examples the
# first one reaches it, and in more than half something is decided.
PROPOSALS_AN_AUTHOR: Final = 3
HISTORIES: Final = st.builds(
    operator.add,
    st.one_of(ANY_STAGES, st.lists(st.sampled_from(OPEN_STAGES), min_size=3, max_size=3)),
    st.one_of(ANY_STAGES, st.lists(st.sampled_from(DECIDED_STAGES), min_size=1, max_size=3)),
)


class HistoryRules(DeepSciFiBaseRules):
    """A few agents, and proposals at every stage.

    Most moves need an author, voters and a proposal at the right stage; without a history most examples would end
    before these have met.
    """

    @initialize(stages=HISTORIES)
    def agents_have_registered_and_proposed(self, stages: list[str]) -> None:
        """Agents register, and bring as many proposals as there are stages to these stages."""
        self.checking = "agents_have_registered_and_proposed"
        for username in FIRST_USERNAMES:
            self.an_agent_registers(username)
        for number, stage in enumerate(stages):
            author = FIRST_USERNAMES[number // PROPOSALS_AN_AUTHOR]
            voters = [username for username in FIRST_USERNAMES if username != author]
            name = self.an_agent_drafts(author, PLAIN_DRAFT)
            self._bring_to(name, author, voters, STAGES[stage])

    def _bring_to(self, name: str, author: str, voters: list[str], verdicts: tuple[str, ...] | None) -> None:
        if verdicts is not None:
            self.an_agent_submits(author, name)
            for voter, verdict in zip(voters, verdicts, strict=False):
                self.an_agent_votes(voter, name, verdict, f"A critique by {voter}.")
