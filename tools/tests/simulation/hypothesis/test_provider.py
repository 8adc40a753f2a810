"""pgdst.simulation.clients.ids, SeedOnlyProvider."""

from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from pgdst.simulation.hypothesis.provider import SEED_ONLY, only_examples

ODD_CONSTANT = 54_321
HYPOTHESIS_OWN = "hypothesis"


def drawn_integers(backend: str, seed_value: int = 7, examples: int = 200) -> list[int]:
    """Return the integers that Hypothesis draws for one seed, the simplest first."""
    numbers: list[int] = []

    @seed(seed_value)
    @settings(
        backend=backend, database=None, max_examples=examples, phases=[Phase.generate], derandomize=False, deadline=None
    )
    @given(st.sampled_from(range(100_000)))
    def draw(number: int) -> None:
        numbers.append(number)

    draw()
    return numbers


@pytest.fixture
def module_with_an_odd_constant(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make Hypothesis see an imported module with the constant 54321."""
    constants = Constants()
    constants.add(ODD_CONSTANT)
    monkeypatch.setattr(providers, "_get_local_constants", lambda: constants)
    providers.CONSTANTS_CACHE.cache.clear()
    yield
    providers.CONSTANTS_CACHE.cache.clear()


def test_the_same_seed_draws_the_same() -> None:
    """And another seed draws something else."""
    assert drawn_integers(SEED_ONLY) == drawn_integers(SEED_ONLY)
    assert drawn_integers(SEED_ONLY) != drawn_integers(SEED_ONLY, seed_value=8)


def test_an_example_can_be_made_again_without_those_before_it() -> None:
    """By its number, in any order; example 0, the simplest, is always tried first."""
    whole = drawn_integers(SEED_ONLY, examples=10)
    with only_examples([7, 3, 7]):
        assert [whole[number] for number in (0, 7, 3, 7)] == drawn_integers(SEED_ONLY, examples=4)


def test_a_run_that_asks_for_more_examples_than_were_chosen_fails() -> None:
    """It neither draws other examples nor passes."""
    with only_examples([7, 3]), pytest.raises(IndexError, match="used up"):
        drawn_integers(SEED_ONLY, examples=4)


@pytest.mark.usefixtures("module_with_an_odd_constant")
def test_constants_of_loaded_modules_do_not_reach_the_choices() -> None:
    """A constant of one of the project's modules is as unlikely as any other number."""
    assert ODD_CONSTANT not in drawn_integers(SEED_ONLY)


@pytest.mark.usefixtures("module_with_an_odd_constant")
def test_constants_of_loaded_modules_would_otherwise_reach_the_choices() -> None:
    """Hypothesis's own provider does draw it."""
    assert ODD_CONSTANT in drawn_integers(HYPOTHESIS_OWN)


def test_a_failure_is_shrunk_as_always() -> None:
    """The provider does not impair the shrinker."""

    @seed(7)
    @settings(backend=SEED_ONLY, database=None, derandomize=False, deadline=None, print_blob=False)
    @given(st.lists(st.integers()))
    def find(numbers: list[int]) -> None:
        assert sum(numbers) < 1000, numbers

    with pytest.raises(AssertionError, match=r"^\[1000\]"):
        find()
