"""Reading while one is told."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from simulation.engine.checks import race
from simulation.engine.choosing import chosen
from simulation.notifications.model import Reading
from simulation.proposals.actions import ValidationActions
from simulation.proposals.model import Ballot, ValidationModel


class NotificationRaces(ValidationActions):
    """Reading, and saying what one has read, while somebody votes."""

    @race(
        ballot=chosen(ValidationModel.ballots),
        beyond=st.lists(st.sampled_from([1, 0, -1]), min_size=2, max_size=2),
        reads=st.booleans(),
    )
    def read_while_one_is_told(self, data: DataObject, ballot: Ballot, beyond: list[int], reads: bool) -> None:
        """Nobody has read what it was not told yet, and of two numbers said at once the greater one counts."""
        author = self.model.proposals[ballot.proposal].author
        told = self.model.last_number(author)
        numbers = [max(0, told + number) for number in beyond]
        marking = [self.attempt(self.an_agent_marks_as_read, Reading(author, number)) for number in numbers]
        reading = [partial(self.an_agent_reads_notifications, author, max(0, told - 1), 100)] if reads else []
        self.at_once(data, self.attempt(self.an_agent_votes, ballot, verdict="strengthen"), *marking, *reading)
