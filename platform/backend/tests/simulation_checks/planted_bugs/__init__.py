"""One bug for each check of the simulation, planted in the platform that the machine then runs on.

Each is a mistake that somebody could make: a check that is off by one, an index without its `lower()`, an UPDATE
without its WHERE. One module a domain; importing it plants nothing, it adds its bugs to the list.
"""

from simulation_checks.planted_bugs import (  # noqa: F401  for their bugs
    agents,
    claims,
    deeds,
    dwellers,
    feedback,
    idempotency,
    notifications,
    proposals,
    races,
    regions,
    reviews,
    revisions,
    stories,
    storms,
    time,
    validations,
    worlds,
)
from simulation_checks.planted_bugs.planting import BUGS_IN_STORMS, PLANTED_BUGS, PLANTED_RACES, PlantedBug, PlantedRace

__all__ = ["BUGS_IN_STORMS", "PLANTED_BUGS", "PLANTED_RACES", "PlantedBug", "PlantedRace"]
