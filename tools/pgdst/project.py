"""Which backend is tested: `[tool.pgdst]` of the nearest pyproject.toml, overridable by option."""

import hashlib
import os
import shlex
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgdst.errors import ConfigurationError

KIT = Path(__file__).resolve().parents[2]
KEYS = {"backend", "alembic_ini", "simulation", "settings"}


@dataclass(frozen=True)
class Project:
    """The paths of a backend under test, all absolute, and the Postgres settings that it adds.

    `root` is the folder of the pyproject.toml; runs of one root share the databases of `make db-up`.
    """

    root: Path
    backend: Path
    alembic_ini: Path
    simulation: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> str:
        """12 hex digits that stand for this root, on this machine, for this user."""
        key = f"{_machine()}:{os.getuid()}:{self.root}"
        return hashlib.sha256(key.encode()).hexdigest()[:12]

    def shell(self) -> str:
        """Return lines for a POSIX shell by which the scripts of a run find the same project."""
        paths = {"BACKEND": self.backend, "ALEMBIC_INI": self.alembic_ini, "SIMULATION": self.simulation}
        return "".join(f"export PGDST_{name}={shlex.quote(str(path))}\n" for name, path in paths.items())


def load(
    *,
    start: Path | None = None,
    backend: Path | None = None,
    alembic_ini: Path | None = None,
    simulation: Path | None = None,
) -> Project:
    """Return the project that `start` (default: the working directory) is in.

    The pyproject.toml is the nearest one upwards with a `[tool.pgdst]`, else the kit's own. An option is relative to
    the working directory, a value in the file to the file (`backend`) or to the backend (the other two).

    Raises: ConfigurationError, naming the path or key that is wrong.
    """
    file, table = _find(start or Path.cwd())
    _check_keys(file, table)
    home = _existing_directory(backend.resolve() if backend else file.parent / table.get("backend", "."), file)
    ini = alembic_ini.resolve() if alembic_ini else home / table.get("alembic_ini", "alembic.ini")
    rules = simulation.resolve() if simulation else home / table.get("simulation", "tests/simulation")
    settings = {name: _setting(value) for name, value in table.get("settings", {}).items()}
    return Project(file.parent, home, ini.resolve(), rules.resolve(), settings)


def _machine() -> str:
    """Return what stays the same on a machine when its host name changes, as it does on a laptop."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"


def _find(start: Path) -> tuple[Path, dict[str, Any]]:
    here = start.resolve()
    for folder in (here, *here.parents, KIT):
        file = folder / "pyproject.toml"
        if file.is_file():
            table = _read(file).get("tool", {}).get("pgdst")
            if table is not None:
                return file, table
    raise ConfigurationError(f"No pyproject.toml with [tool.pgdst] in {here} or above it. Add one: see README.md.")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}.") from error


def _check_keys(file: Path, table: Any) -> None:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: tool.pgdst must be a table.")
    if unknown := sorted(set(table) - KEYS):
        raise ConfigurationError(
            f"{file}: [tool.pgdst] has no key {', '.join(unknown)}. Known are {', '.join(sorted(KEYS))}."
        )
    wrong = [name for name in KEYS - {"settings"} if not isinstance(table.get(name, ""), str)]
    if wrong or not isinstance(table.get("settings", {}), dict):
        raise ConfigurationError(
            f"{file}: [tool.pgdst] {', '.join(sorted(wrong)) or 'settings'} has the wrong type: "
            "paths are strings, settings a table of strings."
        )


def _existing_directory(path: Path, file: Path) -> Path:
    found = path.resolve()
    if not found.is_dir():
        raise ConfigurationError(
            f"The backend is not at {found}: no such folder. "
            f"Correct `backend` in [tool.pgdst] of {file}, or use --backend."
        )
    return found


def _setting(value: object) -> str:
    """Return a TOML value as Postgres writes it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
