"""Room for deep stacks."""

import resource
from collections.abc import Callable

from simulation.engine.deep_stack import with_room_below

CALLS, DEPTHS = 300, range(60, 600)


def test_calls_at_no_depth_ask_the_system_for_memory_again_and_again() -> None:
    """Without room there is such a depth at the end of each chunk."""
    without, with_room = page_faults(at_each_depth), page_faults(lambda: with_room_below(at_each_depth))
    assert without > 10 * with_room, (without, with_room)


def page_faults(call: Callable[[], object]) -> int:
    """Return the page faults of a call."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def at_each_depth() -> None:
    """Call a function at each depth of a range, many times."""
    for depth in DEPTHS:
        descend(depth)


def descend(depth: int) -> None:
    """Call the function so many frames further down."""
    if depth:
        descend(depth - 1)
    else:
        for _ in range(CALLS):
            one_further()


def one_further() -> None:
    """Do nothing one frame further down, as it may be the caller's own frame that is the first of a chunk."""
    nothing()


def nothing() -> None:
    """Do nothing."""
