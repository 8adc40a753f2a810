"""The backend under test: `[tool.pgdst]` of the nearest pyproject.toml, with overrides by options."""

import hashlib
import os
import re
import tomllib
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from pgdst.errors import ConfigurationError
from pgdst.installation import CHECKOUT, spelled

if TYPE_CHECKING:
    from pgdst.server.address import Server

DRIFT = ("error", "warn", "off")  # what to do if the models differ from the database
TARGETS = ("head", "heads")  # the target of the upgrade: the single head, or all heads
PARTS = ("host", "port", "user", "password", "database", "url")  # placeholders in [tool.pgdst.environment]
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PLACE = re.compile(r".+:\d{1,5}")
PATHS = ("backend", "alembic_ini", "simulation")
KEYS = {*PATHS, "settings", "sql_determinism", "drift", "target", "environment", "other_servers"}
SQL_DETERMINISM = "PGDST_SQL_DETERMINISM"


@dataclass(frozen=True)
class Project:
    """The paths of a backend under test, all absolute, and the Postgres settings that it adds.

    `root` is the folder of the pyproject.toml; runs with the same root share the database of `make db-up`. With
    `sql_determinism` its databases have the sql clock. `variables` are environment variables that the backend's own
    settings read; placeholders in braces stand for parts of the run's database. `other_servers` are further servers
    that it may connect to, as host:port. `drift` says what to do if the models differ from the database. `target` is
    that of the upgrade.
    """

    root: Path
    backend: Path
    alembic_ini: Path
    simulation: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    sql_determinism: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    other_servers: tuple[str, ...] = ()
    drift: str = "error"
    target: str = "head"

    @property
    def checkout(self) -> str:
        """12 hex digits that identify this root, on this machine, for this user."""
        key = f"{_machine()}:{os.getuid()}:{self.root}"
        return hashlib.sha256(key.encode()).hexdigest()[:12]

    def environment(self) -> dict[str, str]:
        """Return the variables by which the scripts of a run find the same project from any folder."""
        paths = {f"PGDST_{name.upper()}": str(getattr(self, name)) for name in PATHS}
        return {**paths, SQL_DETERMINISM: str(int(self.sql_determinism))}

    def settings_for(self, server: "Server") -> dict[str, str]:
        """Return the variables by which the backend's own settings find the server's database."""
        parts = {name: str(getattr(server, name)) for name in PARTS}
        return {name: value.format_map(parts) for name, value in self.variables.items()}


def load(
    *,
    start: Path | None = None,
    backend: Path | None = None,
    alembic_ini: Path | None = None,
    simulation: Path | None = None,
) -> Project:
    """Return the project that contains `start` (default: the working directory).

    The pyproject.toml is the nearest one upwards with a `[tool.pgdst]`, else the kit's own. An option is relative to
    the working directory; in the file `backend` is relative to the file, the other two to the backend. Within a run the
    environment, and not the file, says whether the sql clock is on, as that is a property of the run's database.

    Raises: ConfigurationError, naming the path or key that is wrong.
    """
    file, table = _find(start or working_directory())
    _check_keys(file, table)
    home = _existing_directory(backend.resolve() if backend else file.parent / table.get("backend", "."), file)
    ini = alembic_ini.resolve() if alembic_ini else home / table.get("alembic_ini", "alembic.ini")
    rules = simulation.resolve() if simulation else home / table.get("simulation", "tests/simulation")
    settings = {name: _setting(value) for name, value in table.get("settings", {}).items()}
    said = os.environ.get(SQL_DETERMINISM)
    deterministic = said == "1" if said else table.get("sql_determinism", False)
    others = tuple(table.get("other_servers", ()))
    return Project(
        file.parent,
        home,
        ini.resolve(),
        rules.resolve(),
        settings,
        deterministic,
        table.get("environment", {}),
        others,
        table.get("drift", "error"),
        table.get("target", "head"),
    )


def working_directory() -> Path:
    """Return the working directory. Raises: ConfigurationError, if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigurationError("The working directory does not exist any more. Change to one that does.") from None


def _machine() -> str:
    """Return an id of this machine that does not change with its host name, as a laptop's does."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"


def is_the_checkouts_own() -> bool:
    """Tell whether the working directory's project is the kit's own checkout, so that `make` targets apply."""
    with suppress(ConfigurationError, OSError):
        return _find(Path.cwd())[0].parent == CHECKOUT
    return False


def call_of(name: str) -> str:
    """Return how to call a command of the kit, such as `db-up`, for the working directory's project."""
    return f"make {'clean' if name == 'sweep' else name}" if is_the_checkouts_own() else spelled(name)


def has_table(start: Path) -> bool:
    """Tell whether a pyproject.toml in this folder or above has a [tool.pgdst]. An unreadable file has none."""
    here = start.resolve()
    try:
        return _nearest(here, *here.parents) is not None
    except ConfigurationError:
        return False


def _find(start: Path) -> tuple[Path, dict[str, Any]]:
    here = start.resolve()
    found = _nearest(here, *here.parents, *filter(None, [CHECKOUT]))
    if found is None:
        raise ConfigurationError(f"No pyproject.toml with [tool.pgdst] in {here} or above it. Add one: see README.md.")
    return found


def _nearest(*folders: Path) -> tuple[Path, dict[str, Any]] | None:
    for folder in folders:
        file = folder / "pyproject.toml"
        if file.is_file():
            tools = read_toml(file).get("tool", {})
            if not isinstance(tools, dict):
                raise ConfigurationError(f"{file}: tool must be a table.")
            table = tools.get("pgdst")
            if table is not None:
                return file, table
    return None


def read_toml(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raises: ConfigurationError."""
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
    types = {**dict.fromkeys((*PATHS, "drift", "target"), str), "settings": dict, "sql_determinism": bool}
    types |= {"environment": dict, "other_servers": list}
    if wrong := sorted(name for name, value in table.items() if not isinstance(value, types[name])):
        raise ConfigurationError(
            f"{file}: [tool.pgdst] {', '.join(wrong)} has the wrong type: "
            "paths are strings, settings and environment are tables of strings, sql_determinism is true or false, "
            "other_servers a list of strings."
        )
    for name, known in {"drift": DRIFT, "target": TARGETS}.items():
        if (value := table.get(name, known[0])) not in known:
            raise ConfigurationError(f"{file}: [tool.pgdst] {name} = {value!r} is none of {', '.join(known)}.")
    _check_variables(file, table.get("environment", {}))
    if odd := [str(place) for place in table.get("other_servers", []) if not _PLACE.fullmatch(str(place))]:
        raise ConfigurationError(f"{file}: other_servers has {', '.join(odd)}, which is not host:port.")


def _check_variables(file: Path, variables: Mapping[str, Any]) -> None:
    for name, value in variables.items():
        try:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a variable")
            if unknown := {part for _, part, _, _ in Formatter().parse(value) if part is not None} - set(PARTS):
                raise ValueError(f"there is no {', '.join(sorted(map(repr, unknown)))}")
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise ConfigurationError(
                f"{file}: [tool.pgdst.environment] {name} = {value!r} cannot be used ({error}). A value is a string "
                f"with parts of the run's database in it: {', '.join(f'{{{part}}}' for part in PARTS)}."
            ) from error


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
