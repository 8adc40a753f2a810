"""What the simulation makes of the options that the kit passes through."""

import pytest

from simulation.profiles import PROFILES, chosen_profile


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a profile that nobody knows before anything runs."""
    if chosen_profile(config) not in PROFILES:
        raise pytest.UsageError(f"There is no profile {chosen_profile(config)!r}. Choose one of {', '.join(PROFILES)}.")
