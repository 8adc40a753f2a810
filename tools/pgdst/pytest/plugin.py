"""The plugin's hooks: they set a run up, report it and keep its failures.

If the kit is installed, pytest loads this for every project with a [tool.pgdst] (see pgdst.pytest.entry). Else write
`pytest_plugins = ["pgdst.pytest.plugin"]` into the backend's tests/conftest.py. Both at once are fine.
"""

import gc
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pgdst import timings
from pgdst.errors import PgdstError
from pgdst.pytest import failed_runs, fixtures
from pgdst.pytest.failures import file_name
from pgdst.pytest.fixtures import KEPT, SIMULATED, TRACED, keeps, load_project
from pgdst.pytest.options import add_options
from pgdst.pytest.shards import SHARDS, Hooks, Shards
from pgdst.server import address
from pgdst.server.guard import GUARD
from pgdst.simulation.gate.garbage import no_collection

GUARDED = pytest.StashKey[ExitStack]()  # while it is open, connections to other servers are refused

SENT_KEPT = "pgdst_kept"
_COLLECT_AFTER = 10_000  # new objects


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a simulation."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed before Hypothesis reads its own option."""
    if config.option.pgdst_seed is None:
        given = config.getoption("hypothesis_seed", None)
        config.option.pgdst_seed = int(given) if given is not None else secrets.randbelow(2**32)
    config.option.hypothesis_seed = str(config.option.pgdst_seed)
    if config.option.pgdst_jitter is not None:
        from pgdst.simulation import jitter

        jitter.install(config.option.pgdst_jitter)
    if config.option.pgdst_trace is not None and not hasattr(config, "workerinput"):
        _empty(config.option.pgdst_trace)
    config.stash[TRACED] = []
    config.stash[SIMULATED] = {}
    config.stash[KEPT] = []
    config.stash[GUARDED] = ExitStack()
    try:
        if (running := address.from_environment(os.environ)) is not None:
            found = load_project(config)
            config.stash[GUARDED].enter_context(GUARD.allowing(running, found.other_servers, found.backend))
    except PgdstError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[SHARDS] = Shards(config)
    config.pluginmanager.register(config.stash[SHARDS], "pgdst-shards")
    config.pluginmanager.register(fixtures, "pgdst-fixtures")
    config.pluginmanager.register(failed_runs, "pgdst-failed-runs")
    if config.option.pgdst_search is not None:
        from pgdst.pytest.search_worker import SearchWorker

        config.pluginmanager.register(SearchWorker(config, *config.option.pgdst_search), "pgdst-search")
    if keeps():
        config.option.maxfail = 1  # else a later test's databases would be kept


def _empty(trace: Path) -> None:
    try:
        trace.open("w").close()  # not removed: it may be a device
    except OSError as error:
        raise pytest.UsageError(f"--pgdst-trace: {error}. Name a file that can be written.") from error


@pytest.hookimpl
def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hook by which a backend says how many shards a test has."""
    pluginmanager.add_hookspecs(Hooks)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the records that the processes of the run shared."""
    if (shards := config.stash.get(SHARDS, None)) is not None:
        shards.close()
    if (guarded := config.stash.get(GUARDED, None)) is not None:
        guarded.close()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run if the shards have not reached everything that they must."""
    try:
        _write_traces(session.config)
    except OSError as error:
        wrong = f"\nError: the traces could not be written to {session.config.option.pgdst_trace}: {error}.\n"
        _report(session.config, lambda: sys.stderr.write(wrong))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[SENT_KEPT] = session.config.stash[KEPT]
    elif not exitstatus and _never_reached(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _write_traces(config: pytest.Config) -> None:
    """Write the traces of this process to one file: its shards, in order, then simulations that are part of none.

    A worker of xdist writes a file for each.
    """
    if (file := config.option.pgdst_trace) is None:
        return
    traced = config.stash[TRACED]
    shards = sorted(traced, key=lambda one: one.index)
    traces = {str(shard.index): shard.trace for shard in shards} | config.stash[SIMULATED]
    is_worker = hasattr(config, "workerinput")
    for name, trace in traces.items():
        path = file.with_name(f"{file.name}.{file_name(name)}") if is_worker else file
        with path.open("w" if is_worker else "a", encoding="utf-8", errors="backslashreplace") as opened:
            opened.writelines(f"{line}\n" for line in trace.lines)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:  # noqa: ARG001  xdist's hook
    """Note the databases that a worker has kept."""
    node.config.stash[KEPT].extend(getattr(node, "workeroutput", {}).get(SENT_KEPT, []))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Report the time until the first test could start."""
    # Imported objects live to the end. To look at them for garbage takes a tenth of the imports, and at pytest's end
    # a tenth of a short run.
    with no_collection():
        result = yield
        gc.freeze()
    _report(session.config, lambda: timings.report_start_up("start pytest and collect (processor time)"))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Report the time of the tests."""
    # Few objects of a simulation are cyclic garbage, and looking for them after every 700 takes a thirtieth of it.
    before = gc.get_threshold()
    if 0 < before[0] < _COLLECT_AFTER:
        gc.set_threshold(_COLLECT_AFTER, *before[1:])
    begin = time.monotonic()
    try:
        result = yield
    finally:
        gc.set_threshold(*before)
    _report(session.config, lambda: timings.report("tests", time.monotonic() - begin))
    return result


def _report(config: pytest.Config, tell: Callable[[], object]) -> None:
    """Call `tell` with pytest's capturing suspended, but not in a worker of xdist."""
    if not hasattr(config, "workerinput"):
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            tell()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the seed, the hash and the coverage of the run; after a failure, the command that repeats it."""
    run = config.stash[SHARDS].sum()
    if exitstatus:
        for url in config.stash[KEPT]:
            terminalreporter.write_line(f"database of the failure: {url}")
            terminalreporter.write_line(f"psql '{url.replace('+psycopg', '')}'")
    if not run or not run.lines:
        return
    terminalreporter.section("pgdst")
    terminalreporter.write_line(f"seed: {config.option.pgdst_seed}")
    terminalreporter.write_line(f"run hash: {run.hash} ({run.lines} lines)")
    never = _never_reached(config)
    if exitstatus or never:
        if never and not exitstatus:
            terminalreporter.write_line(f"failed: never once reached in this run: {', '.join(never)}")
        replay = config.stash[SHARDS].replay
        again = replay.of_all() if run.failed is None else replay.of_one(run.where, run.failed)
        terminalreporter.write_line(f"replay: {again}")
        return  # the coverage of an incomplete run means nothing
    for line in run.coverage.lines():
        terminalreporter.write_line(f"reached: {line}")


def _never_reached(config: pytest.Config) -> list[str]:
    run = config.stash[SHARDS].sum()
    if run is None or not run.is_whole or config.option.pgdst_shard is not None:
        return []  # a part of the shards need not reach everything
    return run.coverage.unreached() if run.coverage.must_reach_everything else []
