"""Ids and secrets that depend on the seed alone, and Hypothesis made to do the same."""

import hashlib
import uuid
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import Any, Final

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

# Who acts when nobody was named: set-up, or a program with one client.
NOBODY: Final = "nobody"

# The name of SeedOnlyProvider among the backends of Hypothesis.
SEED_ONLY: Final = "pgdst-seed-only"

# How many bits of the run's source go into each example's.
KEY_BITS: Final = 128

_acting_client: ContextVar[str] = ContextVar("acting_client", default=NOBODY)


@contextmanager
def acting_as(client: str) -> Iterator[None]:
    """Let `client` be the one for whom ids are drawn, in this context and those copied from it.

    Starlette's TestClient copies the context into the endpoint, so the name reaches the application's id source.
    """
    token = _acting_client.set(client)
    try:
        yield
    finally:
        _acting_client.reset(token)


class SeededIds:
    """Ids and secrets in one stream a client and purpose.

    The n-th value of a stream is a hash of (seed, client, purpose, n): what another client does, or how often another
    purpose is asked for, never changes it, so that dropping one step of a run leaves the ids of the others alone.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn: Counter[tuple[str, str]] = Counter()

    def new_uuid(self, purpose: str) -> uuid.UUID:
        """Return the next id of the acting client's stream, in the form of a version 4 UUID."""
        return uuid.UUID(bytes=self._next_digest("uuid", purpose)[:16], version=4)

    def new_secret(self, purpose: str) -> str:
        """Return the next secret of the acting client's stream: 256 bits in URL-safe base64, without padding."""
        return urlsafe_b64encode(self._next_digest("secret", purpose)).decode().rstrip("=")

    def _next_digest(self, kind: str, purpose: str) -> bytes:
        client = _acting_client.get()
        stream = (client, f"{kind}:{purpose}")
        number = self._drawn[stream]
        self._drawn[stream] += 1
        # repr keeps the parts apart: ("a", "bc") and ("ab", "c") are two streams.
        return hashlib.sha256(repr((self._seed, *stream, number)).encode()).digest()


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
