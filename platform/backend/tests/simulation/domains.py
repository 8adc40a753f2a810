"""The domains of the simulation. Every folder beside `engine` is one, and takes part by being there."""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

import simulation

PLANTED_BUGS: Final = "planted_bugs"

Part = TypeVar("Part")


def parts_of(base: type[Part]) -> list[type[Part]]:
    """Return the classes in the domains' modules that derive from a class of the engine, by their names."""
    found = [part for part in _classes() if issubclass(part, base)]
    return sorted(found, key=lambda part: (part.__module__, part.__name__))


def composed(name: str, parts: Sequence[type[Part]], **attributes: Any) -> type[Part]:
    """Return a class that derives from all parts."""
    on_top = [part for part in parts if not any(part in other.__mro__[1:] for other in parts)]
    made: type[Part] = type(name, tuple(on_top), attributes)
    return made


def import_planted_bugs() -> None:
    """Import the bugs of all domains, which adds them to the lists of `engine.planting` and plants none."""
    for module in _modules():
        if module.endswith(PLANTED_BUGS):
            importlib.import_module(module)


@cache
def _classes() -> list[type]:
    modules = [importlib.import_module(module) for module in _modules() if not module.endswith(PLANTED_BUGS)]
    return [
        member
        for module in modules
        for member in vars(module).values()
        if isinstance(member, type) and member.__module__ == module.__name__
    ]


def _modules() -> Iterator[str]:
    """Yield the names of the domains' modules, each as `simulation.<domain>.<module>`."""
    for module in pkgutil.walk_packages(simulation.__path__, f"{simulation.__name__}."):
        _simulation, folder, *rest = module.name.split(".")
        if rest and folder != "engine":
            yield module.name
