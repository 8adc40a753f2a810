"""How the simulation reads the options that the kit passes through."""

import pytest

from simulation.engine.extent import PROFILES, chosen_profile


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a profile that nobody knows before anything runs."""
    if chosen_profile(config) not in PROFILES:
        raise pytest.UsageError(f"There is no profile {chosen_profile(config)!r}. Choose one of {', '.join(PROFILES)}.")


def pytest_pgdst_shards(config: pytest.Config, test: str) -> list[int] | None:
    """Return how many shards a test of a machine is, and how many each extension of it."""
    # Not where nothing is collected, as in the main process of several: all that they import takes most of a second.
    from simulation.engine.profiles import chosen_rounds
    from simulation.machine import MACHINES

    machine = MACHINES.get(test)
    return [len(shards) for shards in chosen_rounds(config, machine)] if machine is not None else None
