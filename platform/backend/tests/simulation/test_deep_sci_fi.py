"""The simulation itself."""

import pytest
from pgdst.simulation.ledger import Ledger
from pgdst.simulation.trace import Trace

from simulation.harness import CleanDatabases, Run
from simulation.machine import DeepSciFi
from simulation.profiles import PROFILES, chosen_profile, run_machine, run_until_everything_was_reached, settings_of


@pytest.fixture
def run(clean_databases: CleanDatabases, run_trace: Trace, run_ledger: Ledger, pytestconfig: pytest.Config) -> Run:
    """The run that the seed stands for."""
    return Run(clean_databases, pytestconfig.getoption("--pgdst-seed"), run_trace, run_ledger)


def test_no_sequence_of_moves_breaks_the_platform(run: Run, pytestconfig: pytest.Config) -> None:
    """Whatever agents do, in whatever order, the answers and the database are as predicted."""
    profile = chosen_profile(pytestconfig)
    examples = pytestconfig.getoption("--pgdst-examples")
    if examples is None and PROFILES[profile].must_reach_everything:
        run_until_everything_was_reached(DeepSciFi, run, profile)
        assert [] == run.ledger.unreached(), "these were never once reached in this run"
    else:
        # As long as was asked for, and then it need not have reached everything.
        run_machine(DeepSciFi, run, settings_of(profile, examples))
