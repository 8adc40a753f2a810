"""A schedule that is written down: what a run took, and what takes it again."""

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
    """Who took each step of a run, in text `ada*3 bob!crash ada`; as a strategy, and as faults, the same again.

    Where it ends before the run does, the same client goes on. Unlike others it is also asked where one client alone
    can go on: whom it names there, and strikes, must be that client.
    """

    clients: Sequence[str]
    faults: Mapping[int, Fault] = field(default_factory=dict)  # by the steps that they strike

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Return the schedule that was written down. Raises: ScheduleError."""
        clients: list[str] = []
        faults: dict[int, Fault] = {}
        for entry in text.split():
            found = _ENTRY.fullmatch(entry)
            if not found or found["fault"] not in (None, *ALL):
                raise ScheduleError(
                    f"{entry!r} is no part of a schedule. Write clients, how often, and what strikes them: ada*3 "
                    f"bob!crash ada. The faults are {', '.join(ALL)}."
                )
            clients += [found["client"]] * int(found["times"] or 1)
            if found["fault"]:
                faults[len(clients)] = Fault(found["fault"])
        return cls(tuple(clients), faults)

    def __str__(self) -> str:
        """Return it as text, which `parse` reads."""
        struck = (
            f"{client}!{self.faults[at]}" if at in self.faults else client for at, client in enumerate(self.clients, 1)
        )
        return " ".join(part for entry, steps in groupby(struck) for part in _written(entry, len(list(steps))))

    def inject(self, step: int, possible: Sequence[Fault]) -> Fault | None:
        """Return the fault that strikes at this step. Raises: ScheduleError, where it cannot."""
        fault = self.faults.get(step)
        if fault is not None and fault not in possible:
            able = ", ".join(possible) or "none"
            raise ScheduleError(f"Step {step} of the schedule has {fault}, but only these can strike: {able}.")
        return fault

    def choose(self, point: ChoicePoint) -> int:
        """Return the index of who took this step. Raises: ScheduleError, where that client cannot go on now."""
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
