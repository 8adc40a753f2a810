"""What whoever meets a failure is told."""

import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import precondition
from pgdst.simulation.trace import Trace
from simulation import profiles
from simulation.base import CleanDatabases, DeepSciFiBaseRules, Run
from simulation.checks import move, moves_that_never_succeeded
from simulation.machine import DeepSciFi
from simulation.profiles import default_settings, run_machine

from simulation_checks.planted_bugs import a_retried_vote_is_there_twice, no_key_is_the_first_agents_key


class HalfReachable(DeepSciFiBaseRules):
    """A machine with a move that can be made and one that cannot."""

    @move()
    def do_nothing(self) -> None:
        """Always possible."""

    @precondition(lambda _machine: False)
    @move()
    def do_the_impossible(self) -> None:
        """Never possible."""


def test_a_move_that_never_succeeded_is_named(clean_databases: CleanDatabases) -> None:
    """A rule whose precondition is never true would otherwise look like one that always passes."""
    run = Run(clean_databases, 1, Trace())
    run_machine(HalfReachable, run, settings(default_settings(), max_examples=2, stateful_step_count=2))
    assert ["do_the_impossible"] == moves_that_never_succeeded(HalfReachable, run.ledger)


def test_a_run_goes_on_for_a_move_that_chance_left_out_but_not_without_end(
    clean_databases: CleanDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default budget, then each extension with a seed of its own; after the last one the ledger is what it is."""
    ran: list[tuple[int, int]] = []
    monkeypatch.setattr(
        profiles, "run_machine", lambda _machine, run, chosen: ran.append((run.seed, chosen.max_examples))
    )
    profiles.run_until_every_move_succeeded(HalfReachable, Run(clean_databases, 1, Trace()))
    extensions = [(1 + (number << 64), profiles.EXAMPLES_AN_EXTENSION) for number in (1, 2, 3)]
    assert [(1, profiles.DEFAULT_EXAMPLES), *extensions] == ran


def test_a_run_that_reached_everything_does_not_go_on(
    clean_databases: CleanDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default budget and no more."""
    ran: list[int] = []
    monkeypatch.setattr(profiles, "run_machine", lambda _machine, run, _chosen: ran.append(run.seed))
    reached = Counter({"do_nothing": 1, "do_the_impossible": 1})
    profiles.run_until_every_move_succeeded(HalfReachable, Run(clean_databases, 1, Trace(), reached))
    assert [1] == ran


def test_a_whole_run_reaches_every_move() -> None:
    """The ledger of the simulation must name what the machine has: an empty one lacks everything."""
    assert len(moves_that_never_succeeded(DeepSciFi, Counter())) > 30


def failure_of(bug: Callable[[pytest.MonkeyPatch], None], databases: CleanDatabases) -> str:
    """Return what is said of the smallest failing example of a platform with a bug, its steps included."""
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        with pytest.raises(AssertionError) as failure:
            run_machine(DeepSciFi, Run(databases, 1, Trace()), default_settings())
    return "\n".join([str(failure.value), *failure.value.__notes__])


def test_a_failing_invariant_says_the_rows_by_name_and_id_and_what_was_expected(
    clean_databases: CleanDatabases,
) -> None:
    """And what happened before, at the stage it had come to."""
    said = failure_of(a_retried_vote_is_there_twice, clean_databases)
    assert re.search(r"^V2: p1 \([0-9a-f-]{36}\) Bob \([0-9a-f-]{36}\): expected 1, found 3$", said, re.MULTILINE), said
    assert "state.agents_have_registered_and_proposed(stages=['approved'])\nstate.teardown()" in said


def test_a_failing_move_is_the_last_of_the_fewest_steps_as_a_call(clean_databases: CleanDatabases) -> None:
    """With its arguments; invariants that held in between are not listed."""
    said = failure_of(no_key_is_the_first_agents_key, clean_databases)
    assert "act_without_a_key: expected status and code (401, 'api_key_missing'), found (200, None)" in said
    steps = re.findall(r"^state.*$", said, re.MULTILINE)
    assert [
        "state = DeepSciFi()",
        "state.agents_have_registered_and_proposed(stages=[])",
        "state.act_without_a_key(request=('GET', '/agents/me'))",
        "state.teardown()",
    ] == steps
