"""The replay line: a command for the shell that repeats a run, or one test of it.

It is `make test-dst SEED=…`, a command of the kit, or pytest with a node id, depending on how the run was called.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pgdst import project
from pgdst.errors import PgdstError
from pgdst.installation import CHECKOUT, WITH_POSTGRES, spelled

if TYPE_CHECKING:
    import pytest  # commands that use this module need not import it

DEFAULT_IMAGE: Final = "postgres:16-alpine"
DEFAULT_FAULTS: Final = "all"
_DEFAULTS: Final = {("PGDST_IMAGE", DEFAULT_IMAGE), ("PGDST_EMBEDDED_TCP", "0")}
# Set by `make test-dst`, for the command that it calls directly.
MAKE: Final = "PGDST_CALLED_BY"
# Set for pytest by the command that runs a simulation: the whole line, to which a shard's number can be appended.
LINE: Final = "PGDST_REPLAY"
SENT: Final = "pgdst-replay"
# Options of pytest that choose processes, tests or output, and so do not belong into a replay line. Those in
# `_CHOOSING` take a value.
_CHOOSING: Final = frozenset({"-k", "-m", "--deselect", "--ignore", "--ignore-glob", "--pgdst-shard"})
_VALUED: Final = frozenset(
    {"-n", "--numprocesses", "--maxprocesses", "--dist", "--tx", "--maxschedchunk", "--maxfail", "--durations"}
    | {"--junitxml", "--junit-xml", "--basetemp", "--pgdst-seed", "--hypothesis-seed", "--pgdst-trace"}
    | {"--pgdst-keep-failures", "--pgdst-shrink-seconds"}
)
_FLAGS: Final = re.compile(r"-[xqvs]+|--exitfirst|--quiet|--verbose|--pgdst-own-servers")
_CHOOSING_FLAGS: Final = re.compile(r"--lf|--ff|--nf|--sw|--last-failed|--failed-first|--new-first|--stepwise")


def of_a_simulation(
    seed: int,
    profile: str | None,
    examples: int | None,
    faults: str | None,
    places: Sequence[tuple[str, Path]],
) -> str:
    """Return the replay line of a simulation that this process is about to run, for `LINE`.

    `places` are the options of the command line that say where the backend is.
    """
    chosen: list[tuple[str, object]] = [("seed", seed), ("profile", profile), ("examples", examples)]
    chosen += [("faults", faults if faults != DEFAULT_FAULTS else None)]
    if called := os.environ.get(MAKE):
        knobs = [f"{name.upper()}={shlex.quote(str(value))}" for name, value in chosen if value is not None]
        return " ".join([called, *knobs, *_server_knobs(), "SHARD="])
    options = [f"--{name}={value}" for name, value in [*chosen, *places] if value is not None]
    return " ".join([*_before(Path.cwd()), spelled("run-simulation"), shlex.join(options), "--shard="])


def of_a_shard(seed: int, shard: int, profile: str | None, examples: int | None, faults: str | None) -> str:
    """Return the replay line of a shard that ran elsewhere, for the working directory's project."""
    chosen: list[tuple[str, object]] = [("seed", seed), ("profile", profile), ("examples", examples)]
    chosen += [("faults", faults if faults != DEFAULT_FAULTS else None), ("shard", shard)]
    given = [(name, value) for name, value in chosen if value is not None]
    if project.is_the_checkouts_own():
        return " ".join(["make test-dst", *(f"{name.upper()}={shlex.quote(str(value))}" for name, value in given)])
    return f"{spelled('run-simulation')} {shlex.join([f'--{name}={value}' for name, value in given])}"


def _server_knobs() -> Iterator[str]:
    engine, image = os.environ.get("PGDST_ENGINE"), os.environ.get("PGDST_IMAGE")
    if engine == "embedded":
        yield "ENGINE=embedded"
        if os.environ.get("PGDST_EMBEDDED_TCP") == "1":
            yield "EMBEDDED_TCP=1"
    elif image and image != DEFAULT_IMAGE:
        yield f"IMAGE={shlex.quote(image)}"


def _before(folder: Path, engine: str | None = None) -> Iterator[str]:
    """Yield the parts before a command: `cd`, variables, and with_postgres.sh if the run was started by it."""
    is_within = bool(os.environ.get("PGDST_RUN_ID"))
    shell = Path(os.environ.get("PWD") or "/")  # the folder in which with_postgres.sh was called
    if is_within or not (shell.exists() and shell.samefile(folder)):
        yield f"cd {shlex.quote(str(folder))} &&"
    engine = os.environ.get("PGDST_SERVER_ENGINE") if is_within else engine or os.environ.get("PGDST_ENGINE")
    names = ["PGDST_EMBEDDED_TCP"] if engine == "embedded" else ["PGDST_IMAGE"]
    names += ["PGDST_PYTHON"] if is_within else []
    said = [("PGDST_ENGINE", "embedded")] if engine == "embedded" else []
    said += [(name, os.environ.get(name, "")) for name in [*names, "PYTHONHASHSEED", "PYTHONPATH"]]
    for name, value in [*said, *(_places() if is_within else ())]:
        if value and (name, value) not in _DEFAULTS:
            yield f"{name}={shlex.quote(value)}"
    if is_within:
        yield f"{spelled('with-postgres') if CHECKOUT is None else shlex.quote(str(WITH_POSTGRES))} --"


def _places() -> Iterator[tuple[str, str]]:
    """Yield variables that name the backend, if the working directory does not lead to it by itself."""
    names = [f"PGDST_{name.upper()}" for name in project.PATHS]
    said = {name: os.environ.get(name, "") for name in names}
    try:
        found = project.load().environment()
    except PgdstError:
        found = {}
    if not said.items() <= found.items():
        yield from said.items()


@dataclass(frozen=True)
class Replay:
    """How to repeat this run of pytest. The main process makes it and sends it to the workers of xdist."""

    line: str | None  # the value of `LINE`, if a command called pytest
    before: str  # the part of the line before the arguments
    folder: str  # the folder in which pytest was called
    seed: int
    options: tuple[str, ...]  # those that a single test needs
    arguments: tuple[str, ...]  # those that the whole run needs

    @classmethod
    def of(cls, config: "pytest.Config") -> "Replay":
        """Return the replay of the run that this process is part of."""
        if hasattr(config, "workerinput"):
            return cls(**config.workerinput[SENT])
        called = config.invocation_params
        given = [str(argument) for argument in called.args]
        option: Any = config.option
        asked = [str(path) for path in option.file_or_dir or ()]
        faults = [f"--pgdst-faults={option.pgdst_faults}"] if option.pgdst_faults != DEFAULT_FAULTS else []
        whole = list(_without(given, _VALUED, _FLAGS))
        alone = list(_without(whole, _VALUED | _CHOOSING, _CHOOSING_FLAGS))
        for path in asked:
            if path in alone:
                alone.remove(path)
        # Faults may come from an environment variable, and so be missing in the arguments.
        return cls(
            os.environ.get(LINE),
            " ".join([*_before(called.dir, option.pgdst_engine), _pytest()]),
            str(called.dir),
            option.pgdst_seed,
            tuple(alone + [one for one in faults if one not in alone]),
            tuple(whole + [one for one in faults if one not in whole]),
        )

    def of_all(self) -> str:
        """Return the line for the whole run."""
        if self.line:
            return self.line.rpartition(" ")[0]
        return f"{self.before} {shlex.join([f'--pgdst-seed={self.seed}', *self.arguments])}"

    def of_one(self, where: str, shard: int | None = None) -> str:
        """Return the line for one test: `where` is the node id with an absolute path, `shard` its shard if any."""
        if self.line:
            return self.of_all() if shard is None else f"{self.line}{shard}"
        path, _, rest = where.partition("::")
        if path.startswith(f"{self.folder}{os.sep}"):
            path = path[len(self.folder) + 1 :]
        return f"{self.before} {shlex.join([f'{path}::{rest}', f'--pgdst-seed={self.seed}', *self.options])}"


def where(item: "pytest.Item") -> str:
    """Return a test's node id with the absolute path of its file."""
    return f"{item.path}::{item.nodeid.partition('::')[2]}"


def _without(arguments: Sequence[str], valued: frozenset[str], flags: re.Pattern[str]) -> Iterator[str]:
    """Yield the arguments without some options and, for `valued` ones, their values."""
    rest = iter(arguments)
    for argument in rest:
        if argument in valued:
            next(rest, None)
        elif (
            argument.partition("=")[0] not in valued
            and not (argument[:2] in valued and argument[1:2] != "-")  # such as -n2
            and not flags.fullmatch(argument)
        ):
            yield argument


def _pytest() -> str:
    """Return pytest as it was called: only `python -m pytest` puts the working directory on the search path."""
    called = Path(sys.argv[0])
    if called.name in {"pytest", "py.test"}:
        return shlex.quote(sys.argv[0])
    return shlex.join([sys.executable, "-m", "pytest"])
