"""pgdst.simulation.trace."""

import hashlib

from pgdst.simulation.trace import Trace


def traced(*lines: str) -> Trace:
    """Return a trace of these lines."""
    trace = Trace()
    for line in lines:
        trace.append(line)
    return trace


def test_the_hash_is_the_sha256_of_the_lines() -> None:
    """Anyone can recompute it from the lines alone."""
    assert hashlib.sha256(b"one\ntwo\n").hexdigest() == traced("one", "two").hexdigest()


def test_equal_lines_give_equal_hashes_and_no_difference() -> None:
    """The same run is recognised as the same."""
    assert traced("one", "two").hexdigest() == traced("one", "two").hexdigest()
    assert traced("one", "two").first_difference(traced("one", "two")) is None


def test_the_order_of_events_is_part_of_the_hash() -> None:
    """Two orders of the same events are two runs."""
    assert traced("one", "two").hexdigest() != traced("two", "one").hexdigest()


def test_a_line_break_inside_an_event_does_not_make_two_events() -> None:
    """Neither a break nor an escape that looks like one can make different runs look equal."""
    assert len({traced("a\nb").hexdigest(), traced("a", "b").hexdigest(), traced("a\\nb").hexdigest()}) == 3


def test_a_lone_surrogate_can_be_traced() -> None:
    """A request may contain one, though UTF-8 can't encode it."""
    assert traced("\ud800").hexdigest() != traced("\ud801").hexdigest()


def test_the_first_difference_names_the_line_and_both_versions() -> None:
    """The output of a determinism check shows where to start looking."""
    assert str(traced("one", "two").first_difference(traced("one", "2"))) == "line 2: 'two' here, '2' there"


def test_a_run_that_stops_early_differs_at_the_line_it_lacks() -> None:
    """A prefix is not the same run."""
    assert str(traced("one", "two").first_difference(traced("one"))) == "line 2: 'two' here, None there"
