"""A failing example that passes when repeated is a NotDeterministicError, with both traces."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import seed, settings
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from hypothesis.strategies import integers, sampled_from
from pgdst.simulation.hypothesis.examples import Examples, NotDeterministicError
from pgdst.simulation.hypothesis.provider import SEED_ONLY
from pgdst.simulation.trace import Trace


def machine_of(examples: Examples, fails: Callable[[], bool]) -> type[RuleBasedStateMachine]:
    """Return a machine whose third step in an example fails if `fails()`."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            examples.begin()
            self.steps = 0

        @rule()
        def step(self) -> None:
            self.steps += 1
            if self.steps == 3 and fails():
                examples.trace.append("step 3 goes wrong")
                error = AssertionError("wrong")
                examples.fail(error)
                raise error
            examples.trace.append(f"step {self.steps}")

    return Machine


def run(examples: Examples, fails: Callable[[], bool]) -> None:
    chosen = settings(max_examples=5, database=None, deadline=None, derandomize=True)
    with examples.required_to_fail_again():
        run_state_machine_as_test(machine_of(examples, fails), settings=chosen)


@pytest.fixture
def calls() -> Iterator[int]:
    return count()


def test_an_example_that_fails_once_is_not_deterministic(calls: Iterator[int]) -> None:
    examples = Examples(Trace())
    with pytest.raises(NotDeterministicError) as caught:
        run(examples, lambda: next(calls) == 0)
    assert "step 3 goes wrong" in caught.value.first
    assert "step 3" in caught.value.again
    assert "a new example" == caught.value.again[0]
    assert "< 4  step 3 goes wrong" in str(caught.value)
    assert "> 4  step 3" in str(caught.value)


def test_an_example_that_fails_each_time_fails_as_itself() -> None:
    with pytest.raises(AssertionError, match="wrong"):
        run(Examples(Trace()), lambda: True)


def test_an_example_that_hypothesis_gives_up_has_not_failed() -> None:
    """The trace goes on after it, and no failure is reported."""
    told: list[str] = []
    examples = Examples(Trace(), told.append)
    for error in (StopTest(7), UnsatisfiedAssumption(), KeyboardInterrupt()):
        examples.begin()
        examples.fail(error)
    examples.begin()
    examples.fail(KeyError(77))
    examples.begin()
    assert ["KeyError(77)"] == told
    assert [*["a new example"] * 4, "the example fails"] == list(examples.trace.lines)
    assert 4 == examples.begun


def test_examples_that_pass_are_only_traced() -> None:
    examples = Examples(Trace())
    run(examples, lambda: False)
    assert "the example fails" not in examples.trace.lines
    assert examples.trace.lines.count("a new example") > 1


def test_steps_that_change_nothing_are_taken_out_first() -> None:
    """All at once, as soon as the example has failed again unchanged."""
    examples = Examples(Trace())
    steps: list[list[str]] = []

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            examples.begin()
            steps.append([])

        @rule(kind=sampled_from(["one", "two", "three"]))
        def count(self, kind: str) -> None:
            steps[-1].append(kind)
            if all(steps[-1].count(each) >= 3 for each in ("one", "two", "three")):
                error = AssertionError("three of each")
                examples.fail(error)
                raise error

        @rule(_where=integers())
        def look(self, _where: int) -> None:
            steps[-1].append("look")

        def check_invariants(self, settings: Any, output: Any, runtimes: Any) -> None:
            super().check_invariants(settings, output, runtimes)
            if steps[-1][-1:] == ["look"]:
                examples.end_idle_step()

    chosen = settings(backend=SEED_ONLY, database=None, deadline=None, report_multiple_bugs=False)
    with pytest.raises(AssertionError, match="three of each"), examples.required_to_fail_again():
        run_state_machine_as_test(seed(2)(lambda: Machine()), settings=chosen)  # type: ignore[arg-type]  # a factory
    looked = [one.count("look") for one in steps if set(one) >= {"one", "two", "three"}]
    again = next(at for at, looks in enumerate(looked) if looks != looked[0])
    assert (0, True) == (looked[again], again <= 4), looked[:20]


def test_an_interrupt_while_the_failure_is_told_shows_it() -> None:
    """The user may press Ctrl-C before the call that reports it has returned."""
    told: list[str] = []

    def tell(wrong: str) -> None:
        told.append(wrong)
        if len(told) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Examples(Trace(), tell), lambda: True)
    assert "The smallest example that failed ends with:" in told[1]
