"""Reading while one is told."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import DataObject

from simulation.engine.checks import clash
from simulation.engine.choosing import chosen, there_are
from simulation.proposals.model import Ballot
from simulation.proposals.races import ValidationClashes
from simulation.state_mirror import StateMirror


class NotificationClashes(ValidationClashes):
    """Reading, and saying what one has read, while somebody votes."""

    @precondition(there_are(StateMirror.ballots))
    @clash(
        ballot=chosen(StateMirror.ballots),
        beyond=st.lists(st.sampled_from([1, 0, -1]), min_size=2, max_size=2),
        reads=st.booleans(),
    )
    def read_while_one_is_told(self, data: DataObject, ballot: Ballot, beyond: list[int], reads: bool) -> None:
        """Nobody has read what it was not told yet, and of two numbers said at once the greater one counts."""
        author = self.mirror.proposals[ballot.proposal].author
        told = self.mirror.last_number(author)
        numbers = [max(0, told + number) for number in beyond]
        marking = [partial(self._marks_unless_refused, author, number) for number in numbers]
        reading = [partial(self.an_agent_reads_notifications, author, max(0, told - 1), 100)] if reads else []
        self.at_once(data, partial(self.votes_unless_refused, ballot, "strengthen"), *marking, *reading)

    def _marks_unless_refused(self, agent: str, up_to: int) -> None:
        self.done_unless_refused(
            self.mirror.refusal_of_a_reading(agent, up_to),
            act=partial(self.an_agent_marks_as_read, agent, up_to),
            ask=partial(self.mark_as_read, agent, {"up_to": up_to}),
        )
