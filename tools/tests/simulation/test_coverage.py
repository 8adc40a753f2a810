"""pgdst.simulation.coverage."""

import pytest
from pgdst.simulation.coverage import Coverage


def declared(*, states: tuple[str, ...] = (), moves: tuple[str, ...] = ()) -> Coverage:
    """Return a coverage with these names."""
    coverage = Coverage()
    coverage.declare(states=states, moves=moves)
    return coverage


def test_what_was_declared_and_never_counted_is_unreached() -> None:
    """Though no code ever named it again; in the order of the names, states and moves alike."""
    coverage = declared(states=("the queue is full",), moves=("dequeue", "enqueue"))
    coverage.sometimes("enqueue", True)
    assert ["dequeue", "the queue is full"] == coverage.unreached()


def test_only_a_true_condition_counts() -> None:
    """Looking at a state is not being in it."""
    coverage = declared(states=("the queue is full",))
    for full in (False, True, False, True):
        coverage.sometimes("the queue is full", full)
    assert {"the queue is full": 2} == coverage.counts()
    assert [] == coverage.unreached()


@pytest.mark.parametrize("condition", [True, False])
def test_a_name_that_nobody_declared_is_refused(condition: bool) -> None:
    """Else a misspelt one would be counted and the right one missed; whether it is so at the time or not."""
    with pytest.raises(ValueError, match="Nobody declared 'the queue is fool'"):
        declared(states=("the queue is full",)).sometimes("the queue is fool", condition)


def test_a_name_is_a_state_or_a_move() -> None:
    """One count cannot stand for two things."""
    with pytest.raises(ValueError, match=r"\['wait'\]"):
        declared(states=("wait",), moves=("wait",))


def test_declaring_again_keeps_the_counts() -> None:
    """Each part of a run declares the same names."""
    coverage = declared(states=("the queue is full",))
    coverage.sometimes("the queue is full", True)
    coverage.declare(states=("the queue is full",))
    assert {"the queue is full": 1} == coverage.counts()


def test_the_table_has_every_state_and_only_the_moves_that_never_succeeded() -> None:
    """In the order of the names, whatever was counted first."""
    coverage = declared(states=("b is so", "a is so"), moves=("do", "do_the_impossible", "act_in_vain"))
    for _ in range(12):
        coverage.sometimes("b is so", True)
    coverage.sometimes("do", True)
    assert [" 0 times a is so", "12 times b is so", "never act_in_vain, do_the_impossible"] == coverage.lines()


def test_an_empty_coverage_has_no_lines() -> None:
    """A backend that declares nothing is told nothing."""
    assert [] == Coverage().lines()
