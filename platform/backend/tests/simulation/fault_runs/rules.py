"""What agents do while the database has a bad day."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject, SearchStrategy
from pgdst import Fault

from simulation.agents.races import AgentClashes
from simulation.agents.strategies import free_usernames
from simulation.dwellers.races import ClaimClashes, DeedClashes
from simulation.engine.checks import storm
from simulation.engine.fault_runs import MOST_IN_A_STORM, MOST_TRIES
from simulation.engine.linearization import Move
from simulation.feedback.races import FeedbackClashes
from simulation.proposals.model import Draft
from simulation.proposals.races import ValidationClashes
from simulation.proposals.strategies import DRAFTS, VERDICTS
from simulation.state_mirror import StateMirror
from simulation.stories.model import Judgement
from simulation.stories.races import ReviewClashes
from simulation.stories.strategies import JUDGEMENTS


class Errand(NamedTuple):
    """What somebody wants done: of which kind, and what of what the mirror offers."""

    kind: str
    choice: Any


# What there is to be done, by kind.
OFFERED: Final[dict[str, Callable[[StateMirror], Collection[Any]]]] = {
    "act": StateMirror.ready,
    "claim": StateMirror.claimable,
    "draft": StateMirror.agents_with_room,
    "give feedback": StateMirror.names,
    "register": free_usernames,
    "release": StateMirror.awake_holdings,
    "respond": StateMirror.replies,
    "review": StateMirror.opinions,
    "send a heartbeat": StateMirror.names,
    "submit": StateMirror.own_drafts,
    "upvote": StateMirror.agreements,
    "vote": StateMirror.ballots,
}


def errands() -> SearchStrategy[Errand]:
    """Draw an errand, the kind first, so that each is as likely."""
    return st.runner().flatmap(lambda machine: _errands_in(machine.mirror))


def _errands_in(mirror: StateMirror) -> SearchStrategy[Errand]:
    offered = {kind: sorted(choices(mirror)) for kind, choices in OFFERED.items()}
    possible = sorted(kind for kind, choices in offered.items() if choices)
    return st.sampled_from(possible).flatmap(
        lambda kind: st.sampled_from(offered[kind]).flatmap(lambda choice: st.just(Errand(kind, choice)))
    )


# A client that gives up after a try or two, or never before the storm is over.
PATIENCE: Final = st.sampled_from([MOST_TRIES, 1, 2])
OF_ANY_ERRAND: Final[dict[str, SearchStrategy[Any]]] = {
    "patience": PATIENCE,
    "draft": DRAFTS,
    "verdict": VERDICTS,
    "judgement": JUDGEMENTS,
}
CALM_AHEAD: Final = precondition(lambda machine: machine.nothing_changes_soon())


class StormRules(AgentClashes, ClaimClashes, DeedClashes, ReviewClashes, FeedbackClashes, ValidationClashes):
    """One to three agents, or one from several places, under faults."""

    @CALM_AHEAD
    @storm(
        wanted=st.lists(errands(), min_size=1, max_size=MOST_IN_A_STORM),
        **OF_ANY_ERRAND,
    )
    def run_errands_in_a_storm(
        self, data: DataObject, wanted: list[Errand], patience: int, draft: Draft, verdict: str, judgement: Judgement
    ) -> None:
        """Each is done once, or not at all if its client has given up."""
        self.in_a_storm(data, patience, *(self._errand(errand, draft, verdict, judgement) for errand in wanted))

    @CALM_AHEAD
    @storm(
        wanted=errands(),
        times=st.sampled_from([2, 3]),
        **OF_ANY_ERRAND,
    )
    def want_the_same_in_a_storm(
        self,
        data: DataObject,
        wanted: Errand,
        times: int,
        patience: int,
        draft: Draft,
        verdict: str,
        judgement: Judgement,
    ) -> None:
        """Who asks twice is told twice, and who waits for another's lock may be hit there."""
        self.in_a_storm(data, patience, *[self._errand(wanted, draft, verdict, judgement)] * times)

    @CALM_AHEAD
    @storm(
        wanted=st.lists(errands(), min_size=1, max_size=MOST_IN_A_STORM),
        **OF_ANY_ERRAND,
    )
    def lose_answers_in_a_storm(
        self, data: DataObject, wanted: list[Errand], patience: int, draft: Draft, verdict: str, judgement: Judgement
    ) -> None:
        """What was done and nobody heard of is not done again."""
        errands = [self._errand(errand, draft, verdict, judgement) for errand in wanted]
        self.in_a_storm(data, patience, *errands, kinds=(Fault.COMMIT_DONE, Fault.COMMIT_UNDONE))

    def _errand(self, errand: Errand, draft: Draft, verdict: str, judgement: Judgement) -> Move:
        choice = errand.choice
        errands: dict[str, Move] = {
            "act": partial(self._acts_unless_refused, choice),
            "claim": partial(self._claims_unless_refused, choice),
            "draft": partial(self._drafts_unless_refused, choice, draft),
            "give feedback": partial(self.an_agent_gives_feedback, choice, "It rains."),
            "register": partial(self._registers_unless_taken, choice),
            "release": partial(self._releases_unless_refused, choice),
            "respond": partial(self._responds_unless_refused, choice),
            "review": partial(self._reviews_unless_refused, choice, judgement),
            "send a heartbeat": partial(self.an_agent_is_heard_of, choice),
            "submit": partial(self._submits_unless_refused, choice),
            "upvote": partial(self._upvotes_unless_refused, choice),
            "vote": partial(self.votes_unless_refused, choice, verdict),
        }
        return errands[errand.kind]
