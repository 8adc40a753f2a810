"""A checker nobody saw fail is not a checker: every one is seen to fail here, for the bug it is there for."""

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, reject, settings
from pgdst import Coverage, ServerProcesses, Trace, only_examples
from simulation.base import DeepSciFiBaseRules
from simulation.domains import composed, import_planted_bugs
from simulation.engine.checks import FORBIDDEN_MOVE, INVARIANT, LIVENESS, RACE, RULES, checks_in, checks_of
from simulation.engine.extent import PROFILES
from simulation.engine.harness import CleanDatabases, Run, assembled, engine_on
from simulation.engine.planting import BUGS_UNDER_FAULTS, PLANTED_BUGS, PLANTED_RACES, PlantedBug, PlantedRace
from simulation.engine.profiles import declare, run_machine, settings_of
from simulation.machine import KINDS, DeepSciFi, DeepSciFiUnderFaults, machine_of

import_planted_bugs()

# What the default profile does until it finds something; making it smaller afterwards would only take time.
# Hypothesis would also give up where in most examples somebody else finds the bug first.
DEFAULT_BUDGET = settings(
    settings_of(), phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

# To see how small it is made. As many examples as it takes, each with the same race a few times.
BUDGET_TO_MAKE_IT_SMALLER = settings(settings_of(), max_examples=200, stateful_step_count=5)
MOST_PREEMPTIONS = 3

WORTH_A_BUDGET = 20  # planted bugs

# One for all, so that this passes or fails alike whenever it is run; tried with many others when it was written.
SEED = 1

README = Path(__file__).parents[1] / "simulation" / "README.md"


def with_nothing_looking_but(*checks: str) -> type[DeepSciFiBaseRules]:
    """Return the machine with all its rules and, of its invariants and demands of liveness, at most those named.

    Several of them notice most bugs; so that each is seen to fail by itself, the others look away. Rules cannot, as an
    example goes on from what they did: one in which another rule notices is of the budget, but no find.
    """

    class Looking(DeepSciFiBaseRules):
        """The machine that does not count what others find."""

        def teardown(self) -> None:
            """End the example as none, where it was somebody else's check that failed."""
            failure = sys.exception()
            super().teardown()
            if isinstance(failure, AssertionError) and not re.search(failure_by(*checks), str(failure)):
                reject()

    looking = checks_of(DeepSciFi, INVARIANT, LIVENESS)
    others = {check.method: None for name, check in looking.items() if name not in checks}
    return composed("DeepSciFi", [Looking, DeepSciFi], **others)


@pytest.fixture(scope="session")
def coverages(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses, request: pytest.FixtureRequest
) -> list[Coverage]:
    """What each example of the default budget reaches where no bug is planted; the first is the simplest of all.

    Nothing for a few bugs: to run the whole budget for it takes longer than to find them.
    """
    found: list[Coverage] = []
    if len(request.session.items) < WORTH_A_BUDGET:
        return found

    class Noting(DeepSciFiBaseRules):
        """The machine with a coverage an example."""

        def __init__(self, run: Run) -> None:
            super().__init__(replace(run, coverage=Coverage()))
            declare(DeepSciFi, self.run)
            found.append(self.run.coverage)

    run_machine(
        composed("DeepSciFi", [Noting, DeepSciFi]),
        Run(clean_databases, pgdst_server_processes, SEED, Trace()),
        DEFAULT_BUDGET,
    )
    return found


def likeliest_first(check: str, coverages: list[Coverage]) -> list[int]:
    """Return the numbers of all drawn examples of the budget, at the head those in which a move is made."""
    if not coverages:
        return list(range(1, DEFAULT_BUDGET.max_examples))
    numbers = range(1, len(coverages))
    return sorted(numbers, key=lambda number: coverages[number].counts().get(check, 0) == 0)


@pytest.fixture(autouse=True)
def assembled_with_the_bug() -> Iterator[None]:
    """Assemble the application anew in each test: a route or a handler that a bug replaces is taken over then.

    Its engine, too, as a bug may change what SQLAlchemy makes of a statement that it knows.
    """
    assembled.cache_clear()
    engine_on.cache_clear()
    yield
    assembled.cache_clear()
    engine_on.cache_clear()


@pytest.mark.planted_bug
@pytest.mark.parametrize("bug", PLANTED_BUGS, ids=lambda bug: f"{bug.found_by}-{bug.name}")
def test_the_machine_finds_the_bug_within_its_default_budget(
    bug: PlantedBug,
    clean_databases: CleanDatabases,
    pgdst_server_processes: ServerProcesses,
    coverages: list[Coverage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And it is the intended check that finds it.

    The examples are those of the default profile. None knows of the others, so it does not matter for what is found
    that they are made in another order: the likely ones first, or it would take half an hour.
    """
    bug.plant(monkeypatch)
    run = Run(clean_databases, pgdst_server_processes, SEED, Trace())
    with (
        only_examples(likeliest_first(bug.found_by, coverages)),
        pytest.raises(AssertionError, match=failure_by(bug.found_by)),
    ):
        run_machine(with_nothing_looking_but(bug.found_by), run, DEFAULT_BUDGET)


def failure_by(*checks: str) -> str:
    """Return the pattern of what one of the checks says of a bug."""
    return f"^(?:{'|'.join(checks)}): (?:.*: )?expected"


@pytest.mark.planted_bug
@pytest.mark.parametrize(RACE, PLANTED_RACES, ids=lambda race: f"{race.race}-{race.name}")
def test_the_machine_finds_the_race_within_its_default_budget(
    race: PlantedRace,
    clean_databases: CleanDatabases,
    pgdst_server_processes: ServerProcesses,
    coverages: list[Coverage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it finds the other bugs."""
    race.plant(monkeypatch)
    run = Run(clean_databases, pgdst_server_processes, SEED, Trace())
    with (
        only_examples(likeliest_first(race.race, coverages)),
        pytest.raises(AssertionError, match=failure_by(race.race, race.found_by)),
    ):
        run_machine(with_nothing_looking_but(race.race, race.found_by), run, DEFAULT_BUDGET)


class UnderstoodError(BaseException):
    """What is left of a race is short enough. No Exception, as Hypothesis would go on with those."""


def made_small(race: str, check: str) -> type[DeepSciFiBaseRules]:
    """Return the machine with histories, one race and one check, which ends the run once a failure is small enough."""
    # Something must always be possible.
    others = {name: None for name in checks_of(DeepSciFi, *RULES) if name not in (race, "send_a_heartbeat")}

    class Small(DeepSciFiBaseRules):
        """The machine that looks at the failures that it finds."""

        def teardown(self) -> None:
            """End the example, and the run, where it has failed after few preemptions."""
            failure = sys.exception()
            super().teardown()
            # Only then: an example without a race is not attached, and would be now that its database is given back.
            last = self.simulation.last if isinstance(failure, AssertionError) else None
            if last is not None and last.preemptions <= MOST_PREEMPTIONS:
                raise UnderstoodError(str(failure))

    return composed("DeepSciFi", [Small, with_nothing_looking_but(race, check)], **others)


@pytest.mark.planted_bug
@pytest.mark.parametrize(RACE, PLANTED_RACES, ids=lambda race: f"{race.race}-{race.name}")
def test_what_is_left_of_the_race_can_be_understood(
    race: PlantedRace,
    clean_databases: CleanDatabases,
    pgdst_server_processes: ServerProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failing example is made smaller until its interleaving has few preemptions, if it has not few from the start.

    Of a machine that does nothing else, and no smaller: to take away what has nothing to do with it takes long.
    """
    race.plant(monkeypatch)
    run = Run(clean_databases, pgdst_server_processes, SEED, Trace())
    with pytest.raises(UnderstoodError, match=failure_by(race.race, race.found_by)):
        run_machine(made_small(race.race, race.found_by), run, BUDGET_TO_MAKE_IT_SMALLER)


@pytest.mark.planted_bug
def test_no_request_after_another_shows_a_race(
    clean_databases: CleanDatabases, pgdst_server_processes: ServerProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them planted at once, and nothing at once: the whole default budget, with every invariant, finds none."""
    for plant in {race.name: race.plant for race in PLANTED_RACES}.values():
        plant(monkeypatch)
    one_after_another = machine_of("DeepSciFi", *KINDS - {RACE})
    run_machine(one_after_another, Run(clean_databases, pgdst_server_processes, SEED, Trace()), DEFAULT_BUDGET)


@pytest.mark.planted_bug
@pytest.mark.parametrize("bug", BUGS_UNDER_FAULTS, ids=lambda bug: bug.name)
def test_fault_runs_show_what_only_faults_can_show(
    bug: PlantedBug,
    clean_databases: CleanDatabases,
    pgdst_server_processes: ServerProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within the default budget, of the faults that strike one client at a time."""
    bug.plant(monkeypatch)
    run = Run(clean_databases, pgdst_server_processes, SEED, Trace())
    with pytest.raises(AssertionError, match=f"^{bug.found_by}"):
        run_machine(DeepSciFiUnderFaults, run, DEFAULT_BUDGET)


def test_every_race_has_a_planted_race() -> None:
    """A new race needs a bug that it finds, and only where its requests come between each other."""
    assert sorted(checks_of(DeepSciFi, RACE)) == sorted({race.race for race in PLANTED_RACES})


def test_every_check_but_the_moves_has_a_planted_bug() -> None:
    """A new check needs a bug that it finds; what a move does wrong is found by the invariants."""
    checks = checks_of(DeepSciFi, INVARIANT, FORBIDDEN_MOVE, LIVENESS)
    assert sorted(checks) == sorted({bug.found_by for bug in PLANTED_BUGS})


def test_every_invariant_and_demand_of_liveness_has_an_id_of_its_own() -> None:
    """A letter and a number before the colon of the docstring, unlike any other's."""
    checks = checks_in(member for _name, member in inspect.getmembers(DeepSciFi))
    ids = [check.name for check in checks if check.kind in (INVARIANT, LIVENESS)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Z]\d", id_) for id_ in ids), ids


def test_the_readme_has_the_profiles_as_they_are() -> None:
    """Their examples, their steps, and whether they must reach everything."""
    described = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (yes|no) \|$", README.read_text(), re.MULTILINE)
    assert described == [
        (name, str(profile.examples), str(profile.steps), "yes" if profile.must_reach_everything else "no")
        for name, profile in PROFILES.items()
    ]
