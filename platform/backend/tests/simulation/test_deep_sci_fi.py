"""The simulation itself."""

import pytest
from pgdst import ServerProcesses, Shard

from simulation.engine.extent import chosen_profile
from simulation.engine.harness import FAULTS, CleanDatabases, Harness, Run
from simulation.engine.profiles import chosen_rounds, run_another_before, run_machine, settings_of
from simulation.machine import DeepSciFi, DeepSciFiUnderFaults


@pytest.fixture
def run(
    clean_databases: CleanDatabases,
    pgdst_server_processes: ServerProcesses,
    run_shard: Shard,
    pytestconfig: pytest.Config,
) -> Run:
    """The run that a shard is."""
    faults = FAULTS[pytestconfig.getoption("--pgdst-faults")]
    return Run(
        clean_databases,
        pgdst_server_processes,
        run_shard.seed,
        run_shard.trace,
        run_shard.coverage,
        faults,
        run_shard.tell,
    )


def test_no_sequence_of_moves_breaks_the_platform(run: Run, run_shard: Shard, pytestconfig: pytest.Config) -> None:
    """Whatever agents do, in whatever order, the answers and the database are as predicted."""
    run_examples(DeepSciFi, run, run_shard, pytestconfig)


def test_no_storm_breaks_the_platform(run: Run, run_shard: Shard, pytestconfig: pytest.Config) -> None:
    """Whatever strikes the database, nothing that was acknowledged is lost, and nothing happens twice."""
    run_examples(DeepSciFiUnderFaults, run, run_shard, pytestconfig)


def run_examples(machine: type[Harness], run: Run, shard: Shard, config: pytest.Config) -> None:
    """Run the examples of a shard."""
    if (other_seed := config.getoption("--pgdst-after")) is not None:
        run_another_before(machine, run, other_seed)
    rounds = chosen_rounds(config, machine)
    examples = [count for counts in rounds for count in counts][shard.number]
    run.coverage.must_reach_everything = len(rounds) > 1
    try:
        run_machine(machine, run, settings_of(chosen_profile(config), examples))
    finally:
        shard.examples = run.examples.begun
