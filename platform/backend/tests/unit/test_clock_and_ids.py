"""deepsci.clock and deepsci.ids, as they are deployed."""

import time
from datetime import UTC, datetime, timedelta

from deepsci.clock import SystemClock
from deepsci.ids import SystemIds


def test_the_system_clock_is_aware_and_in_utc() -> None:
    """A time without a zone never enters the application."""
    before, now, after = datetime.now(UTC), SystemClock().now(), datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_the_systems_clock_sleeps_as_long_as_it_is_told_to() -> None:
    """And no shorter."""
    clock, duration = SystemClock(), timedelta(milliseconds=20)
    before = time.monotonic()
    clock.sleep(duration)
    assert time.monotonic() - before >= duration.total_seconds()


def test_system_ids_and_secrets_do_not_repeat() -> None:
    """They are random, and secrets have 256 bits."""
    ids = SystemIds()
    assert len({ids.new_uuid("agent") for _ in range(100)}) == 100
    assert len({ids.new_secret("api-key") for _ in range(100)}) == 100
    assert len(ids.new_secret("api-key")) == 43
