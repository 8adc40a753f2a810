"""The machines: what all domains have, on one platform."""

from typing import Final

from simulation.base import DeepSciFiBaseRules
from simulation.domains import composed, parts_of
from simulation.engine.checks import FAULT_RUN, FORBIDDEN_MOVE, INVARIANT, LIVENESS, MOVE, MOVE_OF_BOTH, RACE, kinds_of
from simulation.engine.model import Model

DeepSciFiModel: Final = composed("DeepSciFiModel", parts_of(Model), __doc__="The platform as it must be.")


def machine_of(name: str, *kinds: str) -> type[DeepSciFiBaseRules]:
    """Return the machine of all classes of the domains that have checks of these kinds only, or none."""
    parts = [part for part in parts_of(DeepSciFiBaseRules) if kinds_of(part) <= {*kinds}]
    return composed(name, parts, MODEL=DeepSciFiModel)


# Deep Sci-Fi, simulated.
KINDS: Final = frozenset({MOVE, MOVE_OF_BOTH, FORBIDDEN_MOVE, RACE, INVARIANT, LIVENESS})
DeepSciFi: Final = machine_of("DeepSciFi", *KINDS)

# Deep Sci-Fi under faults: nothing but fault runs, and time that passes between them; all invariants look on.
DeepSciFiUnderFaults: Final = machine_of("DeepSciFiUnderFaults", MOVE_OF_BOTH, FAULT_RUN, INVARIANT, LIVENESS)

# By the tests that run them.
MACHINES: Final = {
    "test_no_sequence_of_moves_breaks_the_platform": DeepSciFi,
    "test_no_storm_breaks_the_platform": DeepSciFiUnderFaults,
}
