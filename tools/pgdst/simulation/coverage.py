"""Coverage: the moves and states that a run must reach, and how often it reached each."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


class Coverage:
    """Counts of declared names.

    A check that never ran looks like one that always passes, and a rare state that no run reaches is not tested. So
    both are declared beforehand: moves, each of which must succeed once, and states, each of which must occur once.
    """

    def __init__(self) -> None:
        self._states: set[str] = set()
        self._moves: set[str] = set()
        self._counts: Counter[str] = Counter()
        self.must_reach_everything = False

    def declare(self, *, states: Iterable[str] = (), moves: Iterable[str] = ()) -> None:
        """Expect these to be reached. Declaring them again changes nothing.

        Raises: ValueError, if a name is both a state and a move.
        """
        self._states.update(states)
        self._moves.update(moves)
        both = sorted(self._states & self._moves)
        if both:
            raise ValueError(f"Declared as states and as moves: {both}. Give the states other names.")

    def sometimes(self, name: str, condition: bool) -> None:
        """Count the name if the condition is true.

        Raises: ValueError, if the name was not declared: nobody would notice that it is never reached.
        """
        if name not in self._states and name not in self._moves:
            raise ValueError(f"Nobody declared {name!r}. Declare it, so that it is missed where it is never reached.")
        self._counts[name] += condition

    def counts(self) -> dict[str, int]:
        """Return how often each declared name was reached, sorted by name."""
        return {name: self._counts[name] for name in sorted(self._states | self._moves)}

    def unreached(self) -> list[str]:
        """Return the names that were never reached, sorted."""
        return [name for name, count in self.counts().items() if count == 0]

    def as_record(self) -> dict[str, Any]:
        """Return the coverage in plain types, for another process."""
        return {
            "states": sorted(self._states),
            "moves": sorted(self._moves),
            "counts": dict(self._counts),
            "must_reach_everything": self.must_reach_everything,
        }

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the declarations and counts of another coverage of the same run."""
        self.declare(states=record["states"], moves=record["moves"])
        self._counts.update(record["counts"])
        self.must_reach_everything |= record["must_reach_everything"]

    def lines(self) -> list[str]:
        """Return the table of the states with their counts; of the moves, those that never succeeded."""
        counts = self.counts()
        width = max((len(str(counts[name])) for name in self._states), default=0)
        never = [name for name in self.unreached() if name in self._moves]
        return [
            *(f"{counts[name]:>{width}} times {name}" for name in sorted(self._states)),
            *([f"never {', '.join(never)}"] if never else []),
        ]
