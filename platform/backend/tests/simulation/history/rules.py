"""What happened before an example begins."""

import operator
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from simulation.agents.model import DORMANT_AFTER
from simulation.agents.strategies import FIRST_USERNAMES, SLEEPER
from simulation.dwellers.actions import ActingActions
from simulation.dwellers.model import CLAIM_LASTS, Holding
from simulation.feedback.actions import FeedbackActions
from simulation.feedback.model import Agreement
from simulation.history.model import HistoryModel
from simulation.history.strategies import (
    A_DOZING_HOLDER,
    FEEDBACK,
    FORTUNES,
    FOUNDER,
    PAUSES,
    RECEPTIONS,
    SETTLEMENTS,
    STORIES,
    Events,
    Resident,
)
from simulation.proposals.model import Ballot, Draft, Event, Submission
from simulation.proposals.strategies import LAST_YEAR
from simulation.stories.actions import ReviewActions
from simulation.stories.model import Judgement, Opinion, Reply, Tale

# Who comes after whom, where a dweller changes hands.
NEXT: Final = dict(zip(FIRST_USERNAMES, [*FIRST_USERNAMES[1:], FIRST_USERNAMES[0]], strict=True))
PLAIN_DRAFT: Final = Draft("Plain.", LAST_YEAR, (Event(1, "One."), Event(2, "Two."), Event(3, "Three.")))
PLAIN_REVISION: Final = Draft("Plainer.", LAST_YEAR - 1, (*PLAIN_DRAFT.chain[1:], Event(4, "Four."), Event(4, "Five.")))
REVISION: Final = "revision"

# How far a proposal has come, as the verdicts given on it; None is a draft. The simplest first, as shrinking likes it.
# After REVISION its author has rewritten it.
STAGES: Final[dict[str, tuple[str, ...] | None]] = {
    "draft": None,
    "validating": (),
    "with one approval": ("approve",),
    "with one rejection": ("reject",),
    "disputed": ("approve", "reject"),
    "to be strengthened": ("strengthen",),
    "strengthened": ("strengthen", REVISION),
    "strengthened, to be again": ("strengthen", REVISION, "strengthen"),
    "approved": ("approve", "approve"),
    "rejected": ("reject", "reject"),
}
DECIDED_STAGES: Final = ("approved", "rejected")
OPEN_STAGES: Final = tuple(stage for stage in STAGES if stage not in DECIDED_STAGES)
ANY_STAGES: Final = st.lists(st.sampled_from(tuple(STAGES)), max_size=3)
# The first author has the first three, the second the next, so that nobody exceeds the cap. In half of the examples the
# first one reaches it, and in more than half something is decided.
PROPOSALS_AN_AUTHOR: Final = 3
HISTORIES: Final = st.builds(
    operator.add,
    st.one_of(ANY_STAGES, st.lists(st.sampled_from(OPEN_STAGES), min_size=3, max_size=3)),
    st.one_of(ANY_STAGES, st.lists(st.sampled_from(DECIDED_STAGES), min_size=1, max_size=3)),
)


class HistoryRules(ActingActions, ReviewActions, FeedbackActions):
    """A few agents, proposals at every stage, and a world in which somebody lives.

    Most moves need an author, voters and a proposal at the right stage; without a history most examples would end
    before these have met.
    """

    model: HistoryModel

    @initialize(
        sleeper=st.booleans(),
        stages=HISTORIES,
        residents=SETTLEMENTS,
        receptions=STORIES,
        upvotes=FEEDBACK,
        agents_send_keys=st.booleans(),
    )
    def agents_have_registered_and_proposed(
        self,
        sleeper: bool,
        stages: list[str],
        residents: list[Resident],
        receptions: list[str],
        upvotes: list[int],
        agents_send_keys: bool,
    ) -> None:
        """One may fall asleep; agents register, bring proposals to the stages, settle, tell stories and give feedback.

        From here on, all of the example's POSTs carry idempotency keys or none does.
        """
        self.checking = "agents_have_registered_and_proposed"
        self.agents_send_keys = agents_send_keys
        if sleeper:
            self.an_agent_registers(SLEEPER)
            self.clock.advance(DORMANT_AFTER - CLAIM_LASTS)
        for username in FIRST_USERNAMES:
            self.an_agent_registers(username)
        for number, stage in enumerate(stages):
            author = FIRST_USERNAMES[number // PROPOSALS_AN_AUTHOR]
            voters = [username for username in FIRST_USERNAMES if username != author]
            name = self.an_agent_drafts(author, PLAIN_DRAFT)
            self._bring_to(name, author, voters, STAGES[stage])
        if residents:
            world = self.an_agent_drafts(FOUNDER, PLAIN_DRAFT)
            self._bring_to(world, FOUNDER, [name for name in FIRST_USERNAMES if name != FOUNDER], STAGES["approved"])
            self._residents_settle(world, [*residents, A_DOZING_HOLDER] if sleeper else residents)
        if sleeper:  # who holds a dweller, where somebody does
            dormant_from = self.model.agents[SLEEPER].last_heartbeat_at + DORMANT_AFTER
            self.clock.advance(dormant_from - self.clock.now())
            self.sometimes("an agent is dormant", self.model.is_dormant(SLEEPER))
        self._tell_what_was_received(receptions)
        self._say_what_is_shared(upvotes)

    def _bring_to(self, name: str, author: str, voters: list[str], verdicts: tuple[str, ...] | None) -> None:
        if verdicts is not None:
            self.an_agent_submits(Submission(author, name))
            voter_of = iter(voters)
            for verdict in verdicts:
                if verdict == REVISION:
                    self.an_agent_revises(Submission(author, name), PLAIN_REVISION)
                else:
                    voter = next(voter_of)
                    self.an_agent_votes(Ballot(voter, name), verdict, f"A critique by {voter}.")

    def _residents_settle(self, world: str, residents: list[Resident]) -> None:
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
                self.an_agent_acts(min(ready for ready in self.model.ready() if ready[:2] == holding), "Arrives.")
            case "release":
                self.an_agent_releases(holding)

    def _tell_what_was_received(self, receptions: list[str]) -> None:
        """Let each holder in turn tell a story, as long as there are any, and let it be received like this."""
        for telling, reception in zip(self.model.tellings(), receptions, strict=False):
            story = self.an_agent_tells(telling, Tale("Plain.", "Plain."))
            readers = [name for name in self.model.names() if name != telling.agent]
            for reader, (recommends, answered) in zip(readers, RECEPTIONS[reception], strict=False):
                self.an_agent_reviews(Opinion(reader, story), Judgement(3, recommends, f"A review by {reader}."))
                if answered:
                    self.an_agent_responds(Reply(telling.agent, reader, story), f"Thank you, {reader}.")

    def _say_what_is_shared(self, upvotes: list[int]) -> None:
        """Let the first agent give feedback, and as many others agree."""
        author, *others = FIRST_USERNAMES
        for count in upvotes:
            feedback = self.an_agent_gives_feedback(author, "Plain.")
            for agent in others[:count]:
                self.an_agent_upvotes(Agreement(agent, feedback))
