#!/usr/bin/env python3
"""Let each tool test each bug and its right twin on the run's server; print the rows of the table as a JSON list.

Each test is run in a process of its own, with a time limit, so that one that hangs or crashes costs a cell.
Example: tools/with_postgres.sh -- .venv/bin/python tools/benchmark/rivals/run_all.py --rounds 3
"""

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from pgdst.server.address import Server, from_environment
from rivals import bugs

HERE: Final = Path(__file__).parent
KIT: Final = HERE.parents[2]
PYTHON: Final = str(KIT / ".venv" / "bin" / "python")
THEIRS: Final = KIT / ".venv-bench" / "bin"
COMMANDS: Final = {
    "explore": (PYTHON,),
    "frontrun": (str(THEIRS / "frontrun"), str(THEIRS / "python")),
    "threads": (PYTHON,),
}
REPEATED: Final = ("explore", "frontrun")  # the test of threads has 200 runs by itself
LIMIT_SECONDS: Final = 120

Facts = dict[str, Any]


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="How often each test is run.")
def main(rounds: int) -> None:
    """Run all; the right twins once."""
    server = from_environment(os.environ)
    assert server is not None, "with_postgres.sh names it"
    with click.progressbar(bugs.BUGS, file=sys.stderr, item_show_func=str) as shown:
        rows = [row for name in shown for row in rows_of(server, name, rounds)]
    click.echo(json.dumps(rows))


def rows_of(server: Server, name: str, rounds: int) -> list[Facts]:
    """Return what each tool made of a bug and of its twin, and how long its test is; all have their turn in a round."""

    def measured(tool: str, twin: str) -> Facts:
        with made_database(server) as database:
            return answer_of([*COMMANDS[tool], str(HERE / "measure.py"), tool, name, twin, database], LIMIT_SECONDS)

    wrong: dict[str, list[Facts]] = {tool: [] for tool in COMMANDS}
    for number in range(rounds):
        for tool in COMMANDS if number == 0 else REPEATED:
            wrong[tool].append(measured(tool, "wrong"))
    return [
        {
            "bug": bugs.BUGS[name].title,
            "tool": tool,
            "lines": lines(HERE / f"with_{tool}.py", name),
            "wrong": wrong[tool],
            "right": measured(tool, "right"),
        }
        for tool in COMMANDS
    ]


@contextmanager
def made_database(server: Server) -> Iterator[str]:
    """Yield the name of a new database that has the tables."""
    name = f"rivals_{os.getpid()}"
    with server.with_database("postgres").connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    with server.with_database(name).connect() as connection:
        connection.execute(bugs.SCHEMA.encode())
    yield name
    with server.with_database("postgres").connect() as connection:  # a crash has ended the first
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def answer_of(command: Sequence[str], limit_seconds: float) -> Facts:
    """Return the object that a command prints, or what it failed with, as "failed"."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=limit_seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # what it has started, too
            if isinstance(error, subprocess.TimeoutExpired):
                return {"failed": f"no end after {limit_seconds:g} s"}
            raise
    if process.returncode != 0:
        return {"failed": f"status {process.returncode}: {(err.splitlines() or ['nothing said'])[-1]}"}
    facts: Facts = json.loads(out.splitlines()[-1])
    return facts


def lines(file: Path, name: str) -> int:
    """Return how many lines a file has with this test alone, but for blank ones and docstrings."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    said = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in lines_of(node)
    }
    others = {one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name in bugs.BUGS.keys() - {name}}
    written = [line for node in tree.body if node not in others for line in lines_of(node) if line not in said]
    return sum(bool(text.splitlines()[line - 1].strip()) for line in written)


def lines_of(node: ast.stmt) -> range:
    """Return the numbers of a statement's lines."""
    assert node.end_lineno is not None
    return range(node.lineno, node.end_lineno + 1)


if __name__ == "__main__":
    main()
