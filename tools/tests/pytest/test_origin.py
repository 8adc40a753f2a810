"""Failures that are the same have the same origin, and others another."""

from pathlib import Path

import pytest
from pgdst.pytest.origin import Origin, origin_of

ROOT = Path(__file__).parents[1]


def is_small(number: int) -> None:
    assert number < 3, f"{number} is not small"


def is_even(number: int) -> None:
    assert number % 2 == 0


def one_rule(number: int) -> None:
    is_small(number)


def another_rule(number: int, depth: int = 0) -> None:
    if depth:
        another_rule(number, depth - 1)
    else:
        is_small(number)
        is_even(number)


def origin(check: object, *arguments: int) -> Origin:
    with pytest.raises(AssertionError) as found:
        check(*arguments)  # type: ignore[operator]  # one of the functions above
    return origin_of(found.value, ROOT)


def test_the_values_and_the_depth_of_a_recursion_do_not_matter() -> None:
    assert origin(one_rule, 3) == origin(one_rule, 4)
    assert origin(another_rule, 3, 1) == origin(another_rule, 3, 5)


def test_the_rule_and_the_check_do() -> None:
    found = [origin(one_rule, 3), origin(another_rule, 3), origin(another_rule, 1)]
    assert 3 == len({one.id for one in found})
    assert found[0].code.startswith("pytest/test_origin.py:")
    assert found[0].check.startswith("AssertionError > ")


def test_the_cause_of_an_error_counts() -> None:
    def caused(number: int) -> None:
        try:
            is_small(number)
        except AssertionError as error:
            raise AssertionError("no answer") from error

    assert "is_small" in origin(caused, 3).check


def test_what_comes_from_elsewhere_has_the_type_alone() -> None:
    assert Origin("ValueError", "") == origin_of(ValueError("x"), ROOT)
