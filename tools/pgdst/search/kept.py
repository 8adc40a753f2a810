"""Failures as files in the folder of a search. They may come from another machine: nothing in them is trusted."""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from pgdst.errors import ConfigurationError
from pgdst.pytest.failures import Failure
from pgdst.pytest.simulation_run import FAULTS

FAILURES: Final = "failures"
REPORT: Final = ".report.json"  # behind a failure's id
PAGE: Final = ".html"
ID: Final = re.compile(r"[0-9a-f]{12}", re.ASCII)
MOST_BYTES: Final = 16 * 1024**2
LONGEST: Final = 200_000  # characters of a text
_LONGEST_NAME: Final = 100
_MOST: Final = 2**63 - 1

_KNOWN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "seed": lambda value: _is_number(value, 0),
    "shard": lambda value: _is_number(value, 0),
    "profile": lambda value: value is None or (_is_text(value, _LONGEST_NAME) and value.isprintable()),
    "examples": lambda value: value is None or _is_number(value, 1),
    "faults": lambda value: value is None or value in FAULTS,
    "wrong": lambda value: _is_text(value, LONGEST) and bool(value.strip()),
}


def read_failure(file: Path) -> Failure:
    """Return the failure in a file. Raises: ConfigurationError, if it is not exactly that."""
    found = read_json(file)
    names = {one.name for one in fields(Failure)}
    if not isinstance(found, dict) or set(found) != names:
        raise ConfigurationError(f"{file} is no failure of a search: it has not exactly {', '.join(sorted(names))}.")
    if wrong := sorted(name for name, is_right in _KNOWN.items() if not is_right(found[name])):
        raise ConfigurationError(f"{file} is no failure of a search: its {', '.join(wrong)} cannot be right.")
    return Failure(**(found | {"wrong": printable(found["wrong"])}))


def read_report(file: Path) -> dict[str, Any]:
    """Return what is told of a failure: texts by name, and `run`, the data of a page or None. Without a file: nothing.

    Raises: ConfigurationError.
    """
    if not file.exists():
        return {}
    found = read_json(file)
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file} is no report of a failure.")
    texts = {name: printable(text) for name, text in found.items() if _is_text(text, LONGEST)}
    run = found.get("run")
    return texts | {"run": run if isinstance(run, dict) else None}


def files_of_failures(folder: Path) -> Iterator[Path]:
    """Yield the files of failures in a folder of searches, wherever they are in it. No symbolic link is followed."""
    for here, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        if Path(here).name == FAILURES:
            yield from (Path(here) / name for name in sorted(names) if _is_one(name))


def printable(text: str) -> str:
    """Return a text without what a terminal could take for a command."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def _is_one(name: str) -> bool:
    return name.endswith(".json") and ID.fullmatch(name.removesuffix(".json")) is not None


def read_json(file: Path) -> Any:
    """Return the content of a file of moderate size that is no symbolic link. Raises: ConfigurationError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(f"{file} is no regular file.")
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigurationError(f"{file} has more than {MOST_BYTES} bytes.")
        return json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}.") from error


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest
