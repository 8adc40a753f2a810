"""How long a machine is run. What imports this alone, as the main process of several does, starts at once."""

from dataclasses import dataclass
from typing import Final

import pytest


@dataclass(frozen=True)
class Profile:
    """How many runs of the machine, of how many steps, and whether they must reach everything that is declared."""

    examples: int
    steps: int
    must_reach_everything: bool


PROFILES: Final[dict[str, Profile]] = {
    # A look between two edits.
    "quick": Profile(examples=12, steps=40, must_reach_everything=False),
    # Enough that everything is reached and every planted bug is found.
    "default": Profile(examples=80, steps=60, must_reach_everything=True),
    # For a night, or before a release.
    "thorough": Profile(examples=600, steps=60, must_reach_everything=True),
}
DEFAULT: Final = "default"
EXAMPLES_A_FAULT_RUN: Final = 2  # of the first machine, for each of the second, which takes as long
EXAMPLES_A_SHARD: Final = 4
EXAMPLES_AN_EXTENSION: Final = 20
MOST_EXTENSIONS: Final = 3


def chosen_profile(config: pytest.Config) -> str:
    """Return the name that was given, which may be one that nobody knows, else the default's."""
    return config.getoption("--pgdst-profile") or DEFAULT


def examples_of_shards(profile: Profile, examples: int | None, *, under_faults: bool) -> list[list[int]]:
    """Return how many examples each shard of a run has, and those of each extension of it.

    Chance leaves something out of a run now and then. That must not fail it, but going on without end must not hide a
    move that cannot succeed: after the extensions the coverage is what it is.
    """
    rounds = [examples or profile.examples]
    if examples is None and profile.must_reach_everything:
        rounds += [EXAMPLES_AN_EXTENSION] * MOST_EXTENSIONS
    return [_split(-(-count // EXAMPLES_A_FAULT_RUN) if under_faults else count) for count in rounds]


def _split(examples: int) -> list[int]:
    whole, rest = divmod(examples, EXAMPLES_A_SHARD)
    return [EXAMPLES_A_SHARD] * whole + [rest] * (rest > 0)
