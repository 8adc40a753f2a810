"""How long and how a machine is run."""

from dataclasses import replace
from typing import Final

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from pgdst.simulation.randomness import SEED_ONLY

from simulation.base import DeepSciFiBaseRules, Run
from simulation.checks import moves_that_never_succeeded

# Enough that every move succeeds and every planted bug is found, at half a minute on two cores.
DEFAULT_EXAMPLES: Final = 40
STEPS_AN_EXAMPLE: Final = 30
EXAMPLES_AN_EXTENSION: Final = 20
MOST_EXTENSIONS: Final = 3

DEFAULT: Final = "deepsci-default"

# Everything is said, because what is not said is inherited, and under CI=true Hypothesis inherits from its own "ci"
# profile, in which the seed is ignored (derandomize). For the same reason no profile here is called "ci".
settings.register_profile(
    DEFAULT,
    max_examples=DEFAULT_EXAMPLES,
    stateful_step_count=STEPS_AN_EXAMPLE,
    backend=SEED_ONLY,
    derandomize=False,
    database=None,
    deadline=None,
    print_blob=True,
    verbosity=Verbosity.normal,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    # How fast the machine is today must not decide whether the same seed passes.
    suppress_health_check=[HealthCheck.too_slow],
)


def default_settings(examples: int | None = None) -> settings:
    """Return the default profile, with another number of examples if one is given."""
    profile = settings.get_profile(DEFAULT)
    return profile if examples is None else settings(profile, max_examples=examples)


def run_until_every_move_succeeded(machine: type[DeepSciFiBaseRules], run: Run) -> None:
    """Run the default budget, and if a move has not succeeded by then, a few more examples from a derived seed.

    Chance leaves a move out of about one run in some thousand. That must not fail a run, but going on without end must
    not hide a move that cannot succeed: after MOST_EXTENSIONS the ledger is what it is.
    """
    run_machine(machine, run, default_settings())
    for extension in range(1, MOST_EXTENSIONS + 1):
        if moves_that_never_succeeded(machine, run.ledger):
            derived = replace(run, seed=run.seed + (extension << 64))
            run_machine(machine, derived, default_settings(EXAMPLES_AN_EXTENSION))


def run_machine(machine: type[DeepSciFiBaseRules], run: Run, chosen: settings) -> None:
    """Run a machine's examples, all choices drawn from the run's seed.

    Raises: what the smallest failing example raises, with its steps as notes.
    """
    # Its signature asks for a class; its docstring takes "anything which returns an instance".
    run_state_machine_as_test(seed(run.seed)(lambda: machine(run)), settings=chosen)  # type: ignore[arg-type]  # a factory
