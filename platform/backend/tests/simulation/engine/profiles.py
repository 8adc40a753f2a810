"""How a machine is run."""

from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from pgdst import SEED_ONLY, Coverage, Trace

from simulation.engine.checks import FAULT_RUN, LIVENESS, RULES, checks_of
from simulation.engine.extent import DEFAULT, PROFILES, chosen_profile, examples_of_shards
from simulation.engine.harness import Harness, Run
from simulation.engine.model import collected

STEPS_UNDER_FAULTS: Final = 12

# Everything is said, because what is not said is inherited, and under CI=true Hypothesis inherits from its own "ci"
# profile, in which the seed is ignored (derandomize). For the same reason no profile here is called "ci".
for name, profile in PROFILES.items():
    settings.register_profile(
        f"deepsci-{name}",
        max_examples=profile.examples,
        stateful_step_count=profile.steps,
        backend=SEED_ONLY,
        derandomize=False,
        database=None,
        deadline=None,
        # Off: what it prints has no place to be pasted into, and SEED= replays the whole run.
        print_blob=False,
        verbosity=Verbosity.normal,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        # How fast the machine is today must not decide whether the same seed passes.
        suppress_health_check=[HealthCheck.too_slow],
    )


def settings_of(profile: str = DEFAULT, examples: int | None = None) -> settings:
    """Return the settings of a profile, with another number of examples if one is given."""
    registered = settings.get_profile(f"deepsci-{profile}")
    return registered if examples is None else settings(registered, max_examples=examples)


def chosen_rounds(config: pytest.Config, machine: type[Harness]) -> list[list[int]]:
    """Return how many examples each shard of a machine has in the run that was asked for, and those of extensions."""
    examples = config.getoption("--pgdst-examples")
    return examples_of_shards(
        PROFILES[chosen_profile(config)], examples, under_faults=bool(checks_of(machine, FAULT_RUN))
    )


def run_another_before(machine: type[Harness], run: Run, other_seed: int) -> None:
    """Run a few examples of another seed, of which the run must show nothing: they leave used databases behind."""
    with suppress(Exception):  # what they find is another run's
        run_machine(machine, replace(run, seed=other_seed, trace=Trace(), coverage=Coverage()), settings_of("quick", 2))


def run_machine(machine: type[Harness], run: Run, chosen: settings) -> None:
    """Run a machine's examples, all choices drawn from the run's seed, and count in its coverage what they reach.

    Raises: what the smallest failing example raises, with its steps as notes; NotDeterministicError, where an example
    fails and does not when it is run again.
    """
    __tracebackhide__ = True
    declare(machine, run)
    if checks_of(machine, FAULT_RUN):
        chosen = settings(chosen, stateful_step_count=STEPS_UNDER_FAULTS)
    # Its signature asks for a class; its docstring takes "anything which returns an instance".
    with run.examples.required_to_fail_again():
        run_state_machine_as_test(seed(run.seed)(lambda: machine(run)), settings=chosen)  # type: ignore[arg-type]  # a factory


def declare(machine: type[Harness], run: Run) -> None:
    """Expect of a run that every move succeeds, every demand of liveness is met and every state is reached."""
    states = {*collected(machine, "SOMETIMES"), *(_struck(machine, run) if checks_of(machine, FAULT_RUN) else ())}
    run.coverage.declare(states=states, moves=checks_of(machine, *RULES, LIVENESS).keys())


def _struck(machine: type[Harness], run: Run) -> set[str]:
    """Return the states that the kinds of faults of a run can bring about."""
    return {state for state, kind in collected(machine, "SOMETIMES_STRUCK") if kind in run.faults}
