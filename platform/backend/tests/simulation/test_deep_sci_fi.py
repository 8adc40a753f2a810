"""The simulation itself."""

import pytest
from pgdst.simulation.trace import Trace

from simulation.base import CleanDatabases, Run
from simulation.checks import moves_that_never_succeeded
from simulation.machine import DeepSciFi
from simulation.profiles import default_settings, run_machine, run_until_every_move_succeeded


@pytest.fixture
def run(clean_databases: CleanDatabases, run_trace: Trace, pytestconfig: pytest.Config) -> Run:
    """The run that the seed stands for."""
    return Run(clean_databases, pytestconfig.getoption("--pgdst-seed"), run_trace)


def test_no_sequence_of_moves_breaks_the_platform(run: Run, pytestconfig: pytest.Config) -> None:
    """Whatever agents do, in whatever order, the answers and the database are as predicted."""
    examples = pytestconfig.getoption("--pgdst-examples")
    if examples is None:
        run_until_every_move_succeeded(DeepSciFi, run)
        assert [] == moves_that_never_succeeded(DeepSciFi, run.ledger), "these moves never once succeeded in this run"
    else:
        # As long as was asked for, and then it need not have reached everything.
        run_machine(DeepSciFi, run, default_settings(examples))
