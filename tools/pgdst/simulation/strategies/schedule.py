"""A written schedule: the clients that took the steps of a run, in order, to run it again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from pgdst.errors import ScheduleError
from pgdst.simulation.faults.kinds import ALL, Fault
from pgdst.simulation.strategies.strategy import ChoicePoint

_ENTRY = re.compile(r"(?P<client>[A-Za-z_][\w.-]*)(\*(?P<times>[1-9]\d*)|!(?P<fault>[a-z-]+))?")


@dataclass(frozen=True)
class Schedule:
    """Which client took each step of a run and which fault hit it, written as `ada*3 bob!crash ada`.

    It is a strategy, and a source of faults, that makes the run again. If it ends before the run does, the same
    client goes on. Unlike other strategies it is also asked where only one client can go on, to check that it fits.
    """

    clients: Sequence[str]
    faults: Mapping[int, Fault] = field(default_factory=dict)  # by the numbers of the steps that they hit, from 1

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Return the schedule that `text` describes. Raises: ScheduleError."""
        clients: list[str] = []
        faults: dict[int, Fault] = {}
        for entry in text.split():
            found = _ENTRY.fullmatch(entry)
            if not found or found["fault"] not in (None, *ALL):
                raise ScheduleError(
                    f"{entry!r} is no part of a schedule. Write clients, numbers of steps and faults: ada*3 "
                    f"bob!crash ada. The faults are {', '.join(ALL)}."
                )
            clients += [found["client"]] * int(found["times"] or 1)
            if found["fault"]:
                faults[len(clients)] = Fault(found["fault"])
        return cls(tuple(clients), faults)

    def __str__(self) -> str:
        """Return it as text that `parse` reads."""
        entries = (
            f"{client}!{self.faults[at]}" if at in self.faults else client for at, client in enumerate(self.clients, 1)
        )
        return " ".join(part for entry, steps in groupby(entries) for part in _written(entry, len(list(steps))))

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault that hits this step. Raises: ScheduleError, if it is not possible here."""
        fault = self.faults.get(step)
        if fault is not None and fault not in possible:
            able = ", ".join(possible) or "none"
            raise ScheduleError(f"Step {step} of the schedule has {fault}, but only these are possible: {able}.")
        return fault

    def choose(self, point: ChoicePoint) -> int:
        """Return the index of the client that took this step. Raises: ScheduleError, if it cannot go on now."""
        if point.step > len(self.clients):
            return 0
        wanted = self.clients[point.step - 1]
        if wanted not in point.candidates:
            able = ", ".join(point.candidates)
            raise ScheduleError(f"Step {point.step} of the schedule is {wanted}'s, but only these can go on: {able}.")
        return point.candidates.index(wanted)


def _written(entry: str, times: int) -> list[str]:
    if "!" in entry:
        return [entry] * times
    return [entry if times == 1 else f"{entry}*{times}"]
