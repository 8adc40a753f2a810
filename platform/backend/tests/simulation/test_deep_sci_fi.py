"""The simulation itself."""

import pytest
from pgdst.simulation.backends import Backends
from pgdst.simulation.ledger import Ledger
from pgdst.simulation.shares import seed_of
from pgdst.simulation.trace import Trace

from simulation.harness import FAULTS, CleanDatabases, Harness, Run
from simulation.machine import DeepSciFi, DeepSciFiInStorms
from simulation.profiles import (
    PROFILES,
    chosen_profile,
    run_another_before,
    run_machine,
    run_share_of,
    run_until_everything_was_reached,
    settings_of,
    unreached,
)


@pytest.fixture
def run(
    clean_databases: CleanDatabases,
    pgdst_backends: Backends,
    run_share: int,
    run_trace: Trace,
    run_ledger: Ledger,
    pytestconfig: pytest.Config,
) -> Run:
    """The run that the seed stands for, or one worker's share of it."""
    seed = seed_of(pytestconfig.getoption("--pgdst-seed"), run_share, pytestconfig.getoption("--pgdst-workers"))
    faults = FAULTS[pytestconfig.getoption("--pgdst-faults")]
    return Run(clean_databases, pgdst_backends, seed, run_trace, run_ledger, faults)


def test_no_sequence_of_moves_breaks_the_platform(run: Run, pytestconfig: pytest.Config) -> None:
    """Whatever agents do, in whatever order, the answers and the database are as predicted."""
    run_as_long_as_was_asked_for(DeepSciFi, run, pytestconfig)


def test_no_storm_breaks_the_platform(run: Run, pytestconfig: pytest.Config) -> None:
    """Whatever strikes the database, nothing that was acknowledged is lost, and nothing happens twice."""
    run_as_long_as_was_asked_for(DeepSciFiInStorms, run, pytestconfig)


def run_as_long_as_was_asked_for(machine: type[Harness], run: Run, pytestconfig: pytest.Config) -> None:
    """Run a machine's examples, or a worker's share of them."""
    profile = chosen_profile(pytestconfig)
    examples = pytestconfig.getoption("--pgdst-examples")
    workers = pytestconfig.getoption("--pgdst-workers")
    if (other_seed := pytestconfig.getoption("--pgdst-after")) is not None:
        run_another_before(machine, run, other_seed)
    must_reach_everything = examples is None and PROFILES[profile].must_reach_everything
    if workers > 1:
        run_share_of(machine, run, profile, examples, workers)
        run.ledger.must_reach_everything = must_reach_everything  # judged when all shares have come together
    elif must_reach_everything:
        run_until_everything_was_reached(machine, run, profile)
        assert [] == unreached(machine, run), "these were never once reached in this run"
    else:
        # As long as was asked for, and then it need not have reached everything.
        run_machine(machine, run, settings_of(profile, examples))
