"""deepsci.clock and deepsci.ids, as they are deployed."""

from datetime import UTC, datetime

from deepsci.clock import SystemClock
from deepsci.ids import SystemIds


def test_the_system_clock_is_aware_and_in_utc() -> None:
    """A time without a zone never enters the application."""
    before, now, after = datetime.now(UTC), SystemClock().now(), datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_system_ids_and_secrets_do_not_repeat() -> None:
    """They are random, and secrets have 256 bits."""
    ids = SystemIds()
    assert len({ids.new_uuid("agent") for _ in range(100)}) == 100
    assert len({ids.new_secret("api-key") for _ in range(100)}) == 100
    assert len(ids.new_secret("api-key")) == 43
