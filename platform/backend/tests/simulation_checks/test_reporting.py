"""The report of a failure."""

import re

import pytest
from hypothesis import settings
from hypothesis.stateful import precondition
from pgdst import ServerProcesses, Trace
from pgdst.simulation.hypothesis.examples import limit_shrinking
from simulation.domains import import_planted_bugs
from simulation.engine import extent
from simulation.engine.checks import RACE, eventually, move
from simulation.engine.harness import Answer, CleanDatabases, Harness, Run
from simulation.engine.planting import planted_bug
from simulation.engine.profiles import declare, run_machine, settings_of
from simulation.machine import KINDS, DeepSciFi, machine_of


class HalfReachable(Harness):
    """A machine with a move that can be made and one that cannot, a state that comes about and one that does not."""

    SOMETIMES = frozenset({"it is day", "it is night"})

    @move()
    def do_nothing(self) -> None:
        """Always possible."""
        self.sometimes("it is day", True)

    @precondition(lambda _machine: False)
    @move()
    def do_the_impossible(self) -> None:
        """Never possible."""
        self.sometimes("it is night", True)


import_planted_bugs()
UNREACHED = ["do_the_impossible", "it is night"]
# Without races, which take long to be made smaller.
ONE_AFTER_THE_OTHER = machine_of("DeepSciFi", *KINDS - {RACE})
SHORT = settings(settings_of(), max_examples=2, stateful_step_count=2)


def test_what_was_never_reached_is_named(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """A rule whose precondition is never true, or a state that never comes, would otherwise look tested."""
    run = Run(clean_databases, pgdst_server_processes, 1, Trace())
    run_machine(HalfReachable, run, SHORT)
    assert run.coverage.unreached() == UNREACHED
    assert run.coverage.lines() == ["4 times it is day", "0 times it is night", "never do_the_impossible"]


def test_a_run_may_go_on_for_what_chance_left_out_but_not_without_end() -> None:
    """The profile's budget in shards, and three extensions; as many examples as were asked for have none."""
    default = extent.PROFILES["default"]
    whole, *extensions = extent.examples_of_shards(default, None, under_faults=False)
    assert [extent.EXAMPLES_A_SHARD] * 20 == whole
    assert [extent.EXAMPLES_AN_EXTENSION] * extent.MOST_EXTENSIONS == [sum(counts) for counts in extensions]
    assert [[4, 4, 2]] == extent.examples_of_shards(default, 10, under_faults=False)
    assert [[4, 1]] == extent.examples_of_shards(default, 10, under_faults=True)
    assert [[4, 4, 4]] == extent.examples_of_shards(extent.PROFILES["quick"], None, under_faults=False)


def test_a_whole_run_must_reach_every_move_state_and_demand_of_liveness(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """Also those that no code came to: an empty coverage lacks everything that the machine's classes declare."""
    run = Run(clean_databases, pgdst_server_processes, 1, Trace())
    declare(DeepSciFi, run)
    unreached = run.coverage.unreached()
    assert len(unreached) > 30
    assert {"validate_a_draft", "submit_a_proposal", "the cap on open proposals refuses", "L1"} <= set(unreached)


SHRINKS_SECONDS = 300.0


def failure_of(bug: str, databases: CleanDatabases, backends: ServerProcesses) -> str:
    """Return what is said of the smallest failing example of a platform with a bug, its steps included."""
    limit_shrinking(SHRINKS_SECONDS)  # what a test before has set may be too short on a busy machine
    with pytest.MonkeyPatch.context() as patch:
        planted_bug(bug)(patch)
        with pytest.raises(AssertionError) as failure:
            run_machine(ONE_AFTER_THE_OTHER, Run(databases, backends, 1, Trace()), settings_of())
    return "\n".join([str(failure.value), *failure.value.__notes__])


@pytest.mark.planted_bug
def test_a_failing_invariant_says_the_rows_by_name_and_id_and_what_was_expected(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """And what happened before, at the stage it had come to."""
    said = failure_of("a_retried_vote_is_there_twice", clean_databases, pgdst_server_processes)
    row = r"^V2: p1 \([0-9a-f-]{36}\) (?:ada|Bob|cyd-3) \([0-9a-f-]{36}\): expected 1, found 2$"
    assert re.search(row, said, re.MULTILINE), said
    steps = re.findall(r"^state.*$", said, re.MULTILINE)
    assert 3 == len(steps), steps
    assert steps[1].startswith("state.agents_have_registered_and_proposed(")


def test_a_failing_move_is_the_last_of_the_fewest_steps_as_a_call(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """With its arguments; invariants that held in between are not listed."""
    said = failure_of("no_key_is_the_first_agents_key", clean_databases, pgdst_server_processes)
    assert "act_without_a_key: expected status and code (401, 'api_key_missing'), found (200, None)" in said
    steps = re.findall(r"^state.*$", said, re.MULTILINE)
    assert 4 == len(steps), steps
    assert steps[1].startswith("state.agents_have_registered_and_proposed(")
    assert "stages=[]" in steps[1]
    assert ["state.act_without_a_key(request=('GET', '/agents/me'))", "state.teardown()"] == steps[2:]


class EndsBadly(Harness):
    """A machine whose step fails, and whose end would fail too."""

    @move()
    def fail(self) -> None:
        """Fail at once."""
        self.expect(Answer(200, None), 201)

    @eventually
    def fail_in_the_end(self) -> None:
        """L9: nothing is well."""
        self.expect(Answer(200, None), 202)


class EndsOnlyBadly(EndsBadly):
    """The same, but the step is all right."""

    @move()
    def fail(self) -> None:
        """All is well."""


def test_the_end_of_an_example_says_nothing_over_a_failing_step(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """The first failure is the one to read."""
    with pytest.raises(AssertionError, match=r"^fail: expected") as failure:
        run_machine(EndsBadly, Run(clean_databases, pgdst_server_processes, 1, Trace()), SHORT)
    assert failure.value.__context__ is None
    assert ["state = EndsBadly()", "state.fail()", "state.teardown()"] == failure.value.__notes__[-3:]


def test_what_fails_in_the_end_is_named_and_stands_last_among_the_steps(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses
) -> None:
    """By its id, and as a call."""
    with pytest.raises(AssertionError, match=r"^L9: expected") as failure:
        run_machine(EndsOnlyBadly, Run(clean_databases, pgdst_server_processes, 1, Trace()), SHORT)
    assert ["state.teardown()", "state.fail_in_the_end()"] == failure.value.__notes__[-2:]
