"""Moves around validating, which is how proposals end."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from simulation.base import DeepSciFiBaseRules
from simulation.checks import forbidden_move, move
from simulation.harness import Answer
from simulation.mirror.validations import Ballot
from simulation.state_mirror import StateMirror
from simulation.strategies.choosing import chosen, ids_that_name_none_of, there_are
from simulation.strategies.prose import prose
from simulation.strategies.validations import SPOILT_BALLOTS, VERDICTS


class ValidationRules(DeepSciFiBaseRules):
    """Approving, rejecting and wanting strengthened, once, what others submitted."""

    @precondition(there_are(StateMirror.ballots))
    @move(ballot=chosen(StateMirror.ballots), verdict=VERDICTS, critique=prose())
    def validate_a_proposal(self, ballot: Ballot, verdict: str, critique: str) -> None:
        """The first vote of an agent on another's open proposal counts; the second of a kind decides."""
        self.an_agent_votes(ballot.voter, ballot.proposal, verdict, critique)

    @precondition(there_are(StateMirror.own_ballots))
    @forbidden_move(ballot=chosen(StateMirror.own_ballots), verdict=VERDICTS)
    def validate_ones_own_proposal(self, ballot: Ballot, verdict: str) -> None:
        """No author judges itself."""
        self.expect(self._vote(ballot, verdict), 403, "own_proposal")

    @precondition(there_are(StateMirror.second_ballots))
    @forbidden_move(ballot=chosen(StateMirror.second_ballots), verdict=VERDICTS)
    def validate_a_second_time(self, ballot: Ballot, verdict: str) -> None:
        """An agent neither votes twice nor changes its mind."""
        self.expect(self._vote(ballot, verdict), 409, "already_validated")

    @precondition(there_are(StateMirror.ballots_on_drafts))
    @forbidden_move(ballot=chosen(StateMirror.ballots_on_drafts), verdict=VERDICTS)
    def validate_a_draft(self, ballot: Ballot, verdict: str) -> None:
        """What is not submitted is not judged."""
        self.expect(self._vote(ballot, verdict), 409, "proposal_not_validating")

    @precondition(there_are(StateMirror.ballots_on_decided))
    @forbidden_move(ballot=chosen(StateMirror.ballots_on_decided), verdict=VERDICTS)
    def validate_a_decided_proposal(self, ballot: Ballot, verdict: str) -> None:
        """What is decided stays decided."""
        self.expect(self._vote(ballot, verdict), 409, "proposal_not_validating")

    @precondition(there_are(StateMirror.awake))
    @forbidden_move(
        agent=chosen(StateMirror.awake),
        proposal_id=ids_that_name_none_of(StateMirror.proposal_ids),
        verdict=VERDICTS,
    )
    def validate_an_unknown_proposal(self, agent: str, proposal_id: str, verdict: str) -> None:
        """The id of something else is not the id of a proposal."""
        answer = self.vote(agent, proposal_id, {"verdict": verdict, "critique": "A critique."})
        self.expect(answer, 404, "proposal_not_found")

    @precondition(there_are(StateMirror.ballots))
    @forbidden_move(ballot=chosen(StateMirror.ballots), spoilt=st.sampled_from(sorted(SPOILT_BALLOTS)))
    def validate_with_a_malformed_ballot(self, ballot: Ballot, spoilt: str) -> None:
        """A verdict without reasons is not counted, even of an agent that may vote."""
        answer = self.vote(ballot.voter, self.mirror.proposals[ballot.proposal].id, SPOILT_BALLOTS[spoilt])
        self.expect(answer, 422, "malformed_request")

    @precondition(there_are(StateMirror.ballots_of_the_dormant))
    @forbidden_move(ballot=chosen(StateMirror.ballots_of_the_dormant), verdict=VERDICTS)
    def validate_while_dormant(self, ballot: Ballot, verdict: str) -> None:
        """Who was not heard of for seven days says so first that it is still there."""
        self.expect(self._vote(ballot, verdict), 403, "agent_dormant")

    def _vote(self, ballot: Ballot, verdict: str) -> Answer:
        body = {"verdict": verdict, "critique": "A critique."}
        return self.vote(ballot.voter, self.mirror.proposals[ballot.proposal].id, body)
