"""Uniformly random choices."""

from random import Random

from pgdst.simulation.strategies.strategy import ChoicePoint


class Uniform:
    """Each candidate as likely as any other."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # seeded random is the point

    def choose(self, point: ChoicePoint) -> int:
        """Draw the index."""
        return self._random.randrange(len(point.candidates))
