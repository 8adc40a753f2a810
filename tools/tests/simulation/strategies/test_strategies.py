"""Strategies, on a scenario without a database."""

import re
from collections import Counter
from itertools import pairwise, permutations

import pytest
from hypothesis import find, settings
from hypothesis.strategies import DataObject, data, integers
from pgdst.errors import ScheduleError
from pgdst.simulation.strategies.bounded import Exhaustive
from pgdst.simulation.strategies.drawn import Drawn
from pgdst.simulation.strategies.pct import PCT
from pgdst.simulation.strategies.schedule import Schedule
from pgdst.simulation.strategies.strategy import ChoicePoint, Strategy
from pgdst.simulation.strategies.uniform import Uniform


def run(strategy: Strategy, *steps: int) -> str:
    """Return the schedule of clients a, b, c … that take so many steps each and never wait."""
    left = {chr(ord("a") + number): count for number, count in enumerate(steps)}
    taken: list[str] = []
    while able := [client for client in left if left[client]]:
        last = taken[-1] if taken else "a"
        able.sort(key=lambda client: (ord(client) - ord(last)) % len(left))
        point = ChoicePoint(len(taken) + 1, tuple(able), can_stay=bool(taken) and able[0] == last)
        taken.append(able[strategy.choose(point)] if len(able) > 1 else able[0])
        left[taken[-1]] -= 1
    return "".join(taken)


def preemptions(schedule: str) -> int:
    """Return the number of preemptions in a schedule."""
    return sum(one != after and one in schedule[at + 1 :] for at, (one, after) in enumerate(pairwise(schedule)))


def test_every_schedule_within_the_bound_is_tried_once_and_no_other() -> None:
    everything = {"".join(one) for one in permutations("aaabbb")}
    for bound in (0, 1, 2, 9):
        search = Exhaustive(preemptions=bound)
        found = [run(strategy, 3, 3) for strategy in search]
        assert search.is_exhausted
        assert Counter(found) == Counter(one for one in everything if preemptions(one) <= bound)


def test_a_search_that_was_left_is_not_exhausted() -> None:
    search = Exhaustive(preemptions=1)
    run(next(iter(search)), 2, 2)
    assert not search.is_exhausted


def test_a_scenario_that_changes_is_an_error_of_the_search() -> None:
    search = iter(Exhaustive(preemptions=1))
    run(next(search), 3, 3)
    run(next(search), 1, 1)
    with pytest.raises(ScheduleError, match="is not the same each time"):
        next(search)


def test_the_same_seed_gives_the_same_schedule_and_seeds_differ() -> None:
    for make in (Uniform, lambda seed: PCT(seed, depth=3, steps=12)):
        first, second = ([run(make(seed), 4, 4, 4) for seed in range(30)] for _twice in range(2))
        assert first == second
        assert len(set(first)) > 15


def test_pct_preempts_less_often_than_its_depth() -> None:
    for depth in (1, 2, 3):
        found = [preemptions(run(PCT(seed, depth, steps=12), 4, 4, 4)) for seed in range(200)]
        assert depth - 1 == max(found)


def test_pct_finds_a_bug_of_a_depth_as_often_as_is_promised() -> None:
    """Depth 2: b comes right after the second step of a in at least one run of 16, within statistical error."""
    found = sum(run(PCT(seed, 2, steps=8), 4, 4).startswith("aab") for seed in range(2000))
    assert 0.8 * 2000 / 16 <= found


def test_a_drawn_schedule_shrinks_to_the_fewest_preemptions() -> None:
    """A schedule with b inside a and c inside b needs two."""

    def wanted(schedule: str) -> bool:
        return re.fullmatch("a+b[abc]*c[abc]*ba+", schedule) is not None and schedule.rindex("c") < schedule.rindex("b")

    def schedule_of(drawn: DataObject) -> str:
        return run(Drawn(lambda greatest: drawn.draw(integers(0, greatest))), 4, 4, 4)

    chosen = settings(max_examples=2000, deadline=None, database=None, derandomize=True)
    found = [""]

    def holds(drawn: DataObject) -> bool:
        found.append(schedule_of(drawn))
        return wanted(found[-1])

    find(data(), holds, settings=chosen)
    assert 2 == preemptions(found[-1])


def test_a_long_run_can_be_preempted_anywhere() -> None:
    """Also later than the greatest number that one draw gives."""
    given = iter([0, Drawn.LONGEST, 3])
    found = run(Drawn(lambda _greatest: next(given, 0)), 22, 2)
    assert "a" * (Drawn.LONGEST + 3) + "bb" + "a" * (22 - Drawn.LONGEST - 3) == found


def test_schedules_are_written_as_they_are_read() -> None:
    for text in ("ada", "ada*3 bob ada", "ada-1*2 b.c*11"):
        assert text == str(Schedule.parse(text))
    assert "ab" * 4 == run(Schedule.parse("a b a b a b a b"), 4, 4)
    assert "abbbbaaa" == run(Schedule.parse("a b"), 4, 4)
