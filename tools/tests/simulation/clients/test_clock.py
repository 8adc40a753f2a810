"""pgdst.simulation.clients.clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pgdst.simulation.clients.clock import START, SimulatedClock


def test_the_clock_starts_at_a_fixed_aware_instant() -> None:
    """Two clocks agree, whatever the wall clock says."""
    assert SimulatedClock().now() == SimulatedClock().now() == START
    assert SimulatedClock().now().tzinfo is UTC


def test_the_clock_stands_still_until_it_is_advanced() -> None:
    """Only `advance` moves it, by exactly what was asked for."""
    clock = SimulatedClock()
    before = clock.now()
    clock.advance(timedelta(seconds=90))
    assert before + timedelta(seconds=90) == clock.now()


def test_time_does_not_go_back() -> None:
    """A negative advance is refused and changes nothing."""
    clock = SimulatedClock()
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == START


def test_the_clock_is_set_back_and_no_time_passes() -> None:
    """`now` is earlier; the elapsed time is unchanged, and grows from there."""
    clock = SimulatedClock()
    clock.advance(timedelta(hours=2))
    clock.set_back(timedelta(hours=3))
    assert (START - timedelta(hours=1), timedelta(hours=2)) == (clock.now(), clock.elapsed())
    clock.sleep(timedelta(minutes=5))
    assert (START - timedelta(minutes=55), timedelta(minutes=125)) == (clock.now(), clock.elapsed())


def test_a_clock_is_not_set_back_by_less_than_nothing() -> None:
    """A negative duration is refused and changes nothing. So is an instant before the year 1."""
    clock = SimulatedClock()
    with pytest.raises(ValueError, match="Use advance"):
        clock.set_back(timedelta(seconds=-1))
    with pytest.raises(OverflowError):
        clock.set_back(timedelta(days=366 * 3000))
    assert (START, timedelta()) == (clock.now(), clock.elapsed())


def test_a_naive_start_is_refused() -> None:
    """A time without a zone never enters a run."""
    with pytest.raises(ValueError, match="aware"):
        SimulatedClock(datetime(2026, 1, 1))


def test_a_start_in_another_zone_is_kept_in_utc() -> None:
    """The instant is the same, and `now` returns it in UTC."""
    start = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert SimulatedClock(start).now().isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_follower_is_told_at_once_and_of_each_change() -> None:
    """Until its block ends."""
    clock = SimulatedClock()
    told: list[datetime] = []
    with clock.followed_by(told.append):
        clock.advance(timedelta(hours=1))
        clock.set_back(timedelta(hours=2))
    clock.advance(timedelta(hours=1))
    assert [START, START + timedelta(hours=1), START - timedelta(hours=1)] == told
