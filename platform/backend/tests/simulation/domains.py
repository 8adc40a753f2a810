"""The domains of the simulation. Every folder beside `engine` is one, and takes part by being there."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Final

import simulation

PLANTED_BUGS: Final = "planted_bugs"


def import_planted_bugs() -> None:
    """Import the bugs of all domains, which adds them to the lists of `engine.planting` and plants none."""
    for module in _modules():
        if module.endswith(PLANTED_BUGS):
            importlib.import_module(module)


def _modules() -> Iterator[str]:
    """Yield the names of the domains' modules, each as `simulation.<domain>.<module>`."""
    for module in pkgutil.walk_packages(simulation.__path__, f"{simulation.__name__}."):
        _simulation, folder, *rest = module.name.split(".")
        if rest and folder != "engine":
            yield module.name
