"""pgdst.simulation.coverage."""

import pytest
from pgdst.simulation.coverage import Coverage


def declared(*, states: tuple[str, ...] = (), moves: tuple[str, ...] = ()) -> Coverage:
    """Return a coverage with these names."""
    coverage = Coverage()
    coverage.declare(states=states, moves=moves)
    return coverage


def test_what_was_declared_and_never_counted_is_unreached() -> None:
    """Even if no code uses the name. The list is sorted, states and moves together."""
    coverage = declared(states=("the queue is full",), moves=("dequeue", "enqueue"))
    coverage.sometimes("enqueue", True)
    assert ["dequeue", "the queue is full"] == coverage.unreached()


def test_only_a_true_condition_counts() -> None:
    """A false condition is not counted."""
    coverage = declared(states=("the queue is full",))
    for full in (False, True, False, True):
        coverage.sometimes("the queue is full", full)
    assert {"the queue is full": 2} == coverage.counts()
    assert [] == coverage.unreached()


@pytest.mark.parametrize("condition", [True, False])
def test_a_name_that_nobody_declared_is_refused(condition: bool) -> None:
    """Else a misspelt name would be counted, and the right one stay unreached. Also if the condition is false."""
    with pytest.raises(ValueError, match="Nobody declared 'the queue is fool'"):
        declared(states=("the queue is full",)).sometimes("the queue is fool", condition)


def test_a_name_is_a_state_or_a_move() -> None:
    """A name has one count, so it can't be both."""
    with pytest.raises(ValueError, match=r"\['wait'\]"):
        declared(states=("wait",), moves=("wait",))


def test_declaring_again_keeps_the_counts() -> None:
    """Each part of a run declares the same names."""
    coverage = declared(states=("the queue is full",))
    coverage.sometimes("the queue is full", True)
    coverage.declare(states=("the queue is full",))
    assert {"the queue is full": 1} == coverage.counts()


def test_the_table_has_every_state_and_only_the_moves_that_never_succeeded() -> None:
    """Sorted by name."""
    coverage = declared(states=("b is so", "a is so"), moves=("do", "do_the_impossible", "act_in_vain"))
    for _ in range(12):
        coverage.sometimes("b is so", True)
    coverage.sometimes("do", True)
    assert [" 0 times a is so", "12 times b is so", "never act_in_vain, do_the_impossible"] == coverage.lines()


def test_an_empty_coverage_has_no_lines() -> None:
    """A backend that declares nothing gets no output."""
    assert [] == Coverage().lines()
