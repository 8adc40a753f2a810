"""A provider for Hypothesis that draws from the seed alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import Any, Final

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

# The name of SeedOnlyProvider among Hypothesis's backends.
SEED_ONLY: Final = "pgdst-seed-only"

# Bits of the run's random source that make the key of each example.
KEY_BITS: Final = 128


class _ChosenExamples:
    """The chosen examples of a run, by their numbers from 1, and the keys of all its examples so far."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = iter(numbers)
        self._keys: list[int] = []

    def next_key(self, source: Random) -> int:
        """Return the key of the next chosen example; `source` gives the keys of all examples, in order."""
        number = next(self._numbers, None)
        if number is None:
            raise IndexError("The chosen examples are used up, as some of them were invalid.")
        self._keys += (source.getrandbits(KEY_BITS) for _ in range(number - len(self._keys)))
        return self._keys[number - 1]


_chosen: ContextVar[_ChosenExamples | None] = ContextVar("chosen", default=None)


@contextmanager
def only_examples(numbers: Iterable[int]) -> Iterator[None]:
    """Make the next run under SEED_ONLY draw only these of its examples, numbered from 1, in this order.

    Before them Hypothesis tries the simplest example, which is not drawn.

    Raises: IndexError, in the run, if it asks for more examples than were given.
    """
    token = _chosen.set(_ChosenExamples(numbers))
    try:
        yield
    finally:
        _chosen.reset(token)


class SeedOnlyProvider(HypothesisProvider):
    """The provider of `settings(backend=SEED_ONLY)`: each example is drawn afresh, from the seed alone.

    Hypothesis's own provider takes one integer in twenty from constants in the project's imported modules, even those
    that pick from `sampled_from`. So the same seed would give another run after another import (another engine,
    another test before this one) or an edited number anywhere. It also spends most of a small budget on near copies
    of earlier examples, which suits single values more than histories of many steps.

    Each example is drawn from a key of its own, so that it can be repeated without those before it.
    Source: hypothesis.internal.conjecture.providers (`_get_local_constants`) and engine (`generate_mutations_from`).
    """

    def __init__(self, conjecturedata: Any, /) -> None:
        super().__init__(conjecturedata)
        if self._random is not None:
            chosen = _chosen.get()
            key = self._random.getrandbits(KEY_BITS) if chosen is None else chosen.next_key(self._random)
            self._random = Random(key)  # noqa: S311  # seeded random is the point

    def _maybe_draw_constant(self, *_arguments: object, **_options: object) -> None:
        """Return None: no value comes from the constants of imported modules."""


AVAILABLE_PROVIDERS[SEED_ONLY] = SeedOnlyProvider
