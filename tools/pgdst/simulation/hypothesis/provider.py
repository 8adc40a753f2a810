"""Hypothesis drawing from the seed alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import Any, Final

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

# The name of SeedOnlyProvider among the backends of Hypothesis.
SEED_ONLY: Final = "pgdst-seed-only"

# How many bits of the run's source go into each example's.
KEY_BITS: Final = 128


class _ChosenExamples:
    """Which examples of a run are drawn, by their numbers from 1 on, and the keys of its examples so far."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = iter(numbers)
        self._keys: list[int] = []

    def next_key(self, source: Random) -> int:
        """Return the key of the next chosen example; `source` gives those of all, one after another."""
        number = next(self._numbers, None)
        if number is None:
            raise IndexError("The examples that were chosen are used up, as some were none.")
        self._keys += (source.getrandbits(KEY_BITS) for _ in range(number - len(self._keys)))
        return self._keys[number - 1]


_chosen: ContextVar[_ChosenExamples | None] = ContextVar("chosen", default=None)


@contextmanager
def only_examples(numbers: Iterable[int]) -> Iterator[None]:
    """Let the next run under SEED_ONLY draw these of its examples, numbered from 1 on, in this order.

    Before them it tries the simplest example of all, which is not drawn.

    Raises: IndexError, in the run, where it asks for more examples than were given.
    """
    token = _chosen.set(_ChosenExamples(numbers))
    try:
        yield
    finally:
        _chosen.reset(token)


class SeedOnlyProvider(HypothesisProvider):
    """How Hypothesis draws under `settings(backend=SEED_ONLY)`: afresh for each example, from the seed alone.

    Its own provider takes one integer in twenty from the constants in the project's imported modules, even those that
    pick from `sampled_from`: the same seed would give another run as soon as another module is loaded (another engine,
    another test before this one) or a number is edited anywhere. It also spends most of a small budget on near copies
    of earlier examples, which suits single values more than histories of many steps.

    Each example is drawn from a key of its own, so that it can be made again without those before it.
    Source: hypothesis.internal.conjecture.providers (`_get_local_constants`) and engine (`generate_mutations_from`).
    """

    def __init__(self, conjecturedata: Any, /) -> None:
        super().__init__(conjecturedata)
        if self._random is not None:
            chosen = _chosen.get()
            key = self._random.getrandbits(KEY_BITS) if chosen is None else chosen.next_key(self._random)
            self._random = Random(key)  # noqa: S311  # seeded random is the point

    def _maybe_draw_constant(self, *_arguments: object, **_options: object) -> None:
        """Decline: every value is drawn."""


AVAILABLE_PROVIDERS[SEED_ONLY] = SeedOnlyProvider
