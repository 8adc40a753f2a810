"""The faults that were injected in a run, as its trace names them."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from pgdst.simulation.faults.kinds import ALL

_INJECTED: Final = re.compile(rf": fault -> ({'|'.join(ALL)})$")


def struck(lines: Iterable[str]) -> Counter[str]:
    """Return how often each kind was injected in a trace."""
    return Counter(kind for line in lines for kind in _INJECTED.findall(line))
