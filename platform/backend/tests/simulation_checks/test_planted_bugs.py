"""A checker nobody saw fail is not a checker: every one is seen to fail here, for the bug it is there for."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from pgdst.simulation.ledger import Ledger
from pgdst.simulation.randomness import only_examples
from pgdst.simulation.trace import Trace
from simulation.checks import forbidden_moves_of, invariants_of, liveness_of, type_of_check
from simulation.harness import CleanDatabases, Harness, Run
from simulation.machine import DeepSciFi
from simulation.profiles import PROFILES, declare, run_machine, settings_of

from simulation_checks.planted_bugs import PLANTED_BUGS, PlantedBug

# What the default profile does until it finds something; making it smaller afterwards would only take time.
DEFAULT_BUDGET = settings(settings_of(), phases=[Phase.generate])

# One for all, so that this passes or fails alike whenever it is run; tried with many others when it was written.
SEED = 1

README = Path(__file__).parents[1] / "simulation" / "README.md"


def with_nothing_looking_but(check: str) -> type[Harness]:
    """Return the machine with all its rules and, of its invariants and demands of liveness, at most the one named.

    Several of them notice most bugs; so that each is seen to fail by itself, the others look away.
    """
    looking = invariants_of(DeepSciFi) | liveness_of(DeepSciFi)
    others = {method: None for name, method in looking.items() if name != check}
    return type("DeepSciFi", (DeepSciFi,), others)


@pytest.fixture(scope="session")
def ledgers(clean_databases: CleanDatabases) -> list[Ledger]:
    """What each example of the default budget reaches where no bug is planted; the first is the simplest of all."""
    found: list[Ledger] = []

    class Noting(DeepSciFi):
        """The machine with a ledger an example."""

        def __init__(self, run: Run) -> None:
            super().__init__(replace(run, ledger=Ledger()))
            declare(DeepSciFi, self.run)
            found.append(self.run.ledger)

    run_machine(Noting, Run(clean_databases, SEED, Trace()), DEFAULT_BUDGET)
    return found


def likeliest_first(check: str, ledgers: list[Ledger]) -> list[int]:
    """Return the numbers of all drawn examples of the budget, at the head those in which a move is made."""
    numbers = range(1, len(ledgers))
    return sorted(numbers, key=lambda number: ledgers[number].counts().get(check, 0) == 0)


@pytest.mark.planted_bug
@pytest.mark.parametrize("bug", PLANTED_BUGS, ids=lambda bug: f"{bug.found_by}-{bug.name}")
def test_the_machine_finds_the_bug_within_its_default_budget(
    bug: PlantedBug, clean_databases: CleanDatabases, ledgers: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is the intended check that finds it.

    The examples are those of the default profile. None knows of the others, so it does not matter for what is found
    that they are made in another order: the likely ones first, or it would take half an hour.
    """
    bug.plant(monkeypatch)
    run = Run(clean_databases, SEED, Trace())
    with (
        only_examples(likeliest_first(bug.found_by, ledgers)),
        pytest.raises(AssertionError, match=f"^{bug.found_by}: expected|^{bug.found_by}: .*: expected"),
    ):
        run_machine(with_nothing_looking_but(bug.found_by), run, DEFAULT_BUDGET)


def test_every_check_but_the_moves_has_a_planted_bug() -> None:
    """Whoever adds a check adds the bug that it is there for; a move is caught by what is looking."""
    checks = invariants_of(DeepSciFi).keys() | forbidden_moves_of(DeepSciFi).keys() | liveness_of(DeepSciFi).keys()
    assert sorted(checks) == sorted({bug.found_by for bug in PLANTED_BUGS})


def test_every_invariant_and_demand_of_liveness_has_an_id_of_its_own() -> None:
    """A letter and a number before the colon of the docstring, unlike any other's."""
    marks = [getattr(member, type_of_check, ("",)) for _name, member in inspect.getmembers(DeepSciFi)]
    ids = [name for kind, *names in marks if kind in ("invariant", "liveness") for name in names]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Z]\d", id_) for id_ in ids), ids


def test_the_readme_names_every_check_with_its_bug() -> None:
    """The tables there are those here."""
    rows = [line.split("|") for line in README.read_text().splitlines() if line.startswith("| ")]
    named = {(cells[1].split()[0], cells[-2].strip()) for cells in rows}
    assert {(bug.found_by, bug.name) for bug in PLANTED_BUGS} <= named


def test_the_readme_has_the_profiles_as_they_are() -> None:
    """Their examples, their steps, and whether they must reach everything."""
    described = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (yes|no) \|$", README.read_text(), re.MULTILINE)
    assert described == [
        (name, str(profile.examples), str(profile.steps), "yes" if profile.must_reach_everything else "no")
        for name, profile in PROFILES.items()
    ]
