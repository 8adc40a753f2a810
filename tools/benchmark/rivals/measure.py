#!/usr/bin/env python3
"""Run one tool's test of one bug once, and print what came of it as a JSON object.

Runs in the tool's own environment; frontrun's by its own command, without which its tests refuse.
Exit status: 0 measured; 1 the test neither passed nor found something.
Example: tools/with_postgres.sh -- .venv/bin/python tools/benchmark/rivals/measure.py threads lost_update wrong DATABASE
"""

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy import Connection

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from rivals import bugs

PSYCOPG2: Final = "postgresql+psycopg2://"  # for all, as frontrun's documentation has it

Facts = dict[str, Any]
Test = Callable[[str], AssertionError | None]  # called with the URL of a database


@click.command()
@click.argument("tool", type=click.Choice(["explore", "frontrun", "threads"]))
@click.argument("name", type=click.Choice(list(bugs.BUGS)))
@click.argument("twin", type=click.Choice(["wrong", "right"]))
@click.argument("database")
def main(tool: str, name: str, twin: str, database: str) -> None:
    """Run the test of a bug, or of its right twin, in a database of the run's server that has `bugs.SCHEMA`."""
    bug = bugs.BUGS[name]
    clients = bug.wrong if twin == "wrong" else bug.right
    test = getattr(importlib.import_module(f"rivals.with_{tool}"), name)
    begun: list[float] = []
    took: list[float] = []

    def setup(connection: Connection) -> None:
        begun.append(time.perf_counter())
        bug.setup(connection)

    def timed(url: str) -> AssertionError | None:
        took.append(time.perf_counter())
        try:
            test(url, *clients)
        except AssertionError as error:
            return error
        finally:
            took.append(time.perf_counter())
        return None

    setattr(bugs, bug.setup.__name__, setup)  # all tools call it at the beginning of each run
    facts = {"explore": by_explore, "frontrun": by_frontrun, "threads": by_threads}[tool](timed, database)
    start, end = took
    facts = {"schedules": len(begun), "test seconds": end - start, **facts}
    if facts["found"]:
        # A run has ended when the next one begins: behind the find, the first one for shrinking or a replay.
        found_at = begun[facts["schedules"]] if facts["schedules"] < len(begun) else end
        facts |= {"seconds": found_at - start, "search seconds": found_at - begun[0]}
    click.echo(json.dumps(facts))


def by_explore(test: Test, database: str) -> Facts:
    """Run a test with what the kit's plugin gives it, and say what its message says."""
    from pgdst.database.databases import Databases
    from pgdst.server.address import from_environment
    from pgdst.simulation.explore.context import exploring
    from pgdst.simulation.explore.explore import FoundError
    from pgdst.simulation.gate.server_processes import server_processes_of

    server = from_environment(os.environ)
    assert server is not None, "with_postgres.sh names it"
    databases = Databases(server.with_database(database))
    with server_processes_of(server) as processes, exploring(databases, lambda: processes):
        with databases.lend() as url:
            error = test(url.replace("postgresql+psycopg://", PSYCOPG2))
        databases.close()
    if error is None:
        return {"found": False}
    assert isinstance(error, FoundError)
    schedules, replayed = numbers(r"found after (\d+) runs, replayed (\d+) of 10", str(error))
    return {
        "found": True,
        "schedules": schedules,
        "replayed": replayed,
        "preemptions": error.result.preemptions,
        "faults": len(error.schedule.faults),
    }


def by_frontrun(test: Test, database: str) -> Facts:
    """Run a test, and say what the result says of which it has raised an error."""
    import frontrun

    results = []
    explore = frontrun.explore

    def kept(**options: Any) -> Any:
        results.append(explore(**options))
        return results[-1]

    frontrun.explore = kept
    error = test(url_of(database))
    [result] = results
    if error is None:
        return {"found": False, "schedules": result.num_explored}
    assert not result.property_holds, str(error)
    return {
        "found": True,
        "schedules": result.num_explored,
        "replayed": result.reproduction_successes,
        "preemptions": left_and_resumed(result.counterexample),
        "faults": 0,
    }


def by_threads(test: Test, database: str) -> Facts:
    """Run a test, and say what its message says."""
    error = test(url_of(database))
    if error is None:
        return {"found": False}
    wrong, first = numbers(r"(\d+) of 200 runs are wrong, the first is run (\d+)", str(error))
    return {"found": True, "schedules": first, "wrong": wrong}


def url_of(database: str) -> str:
    """Return the URL of a database of the run's server."""
    there = os.environ["PGDST_DATABASE_URL"].replace("postgresql+psycopg://", PSYCOPG2)
    return f"{there.rpartition('/')[0]}/{database}"


def left_and_resumed(threads: Sequence[int]) -> int:
    """Return how often a schedule leaves a thread that goes on later: a preemption, or a wait for a lock."""
    pairs = enumerate(pairwise(threads), start=1)
    return sum(one != other and one in threads[place:] for place, (one, other) in pairs)


def numbers(pattern: str, message: str) -> list[int]:
    """Return the numbers that a message has in these places."""
    match = re.search(pattern, message)
    assert match is not None, f"not {pattern!r}: {message}"
    return [int(group) for group in match.groups()]


if __name__ == "__main__":
    main()
