"""The hooks about failed runs of several clients: they are told, kept as files, and tried first the next time."""

import os
import re
import shlex
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pgdst.errors import PgdstError
from pgdst.pytest.failures import FailedRun, file_name
from pgdst.pytest.fixtures import load_project
from pgdst.pytest.replay import where
from pgdst.pytest.shards import SHARDS

if TYPE_CHECKING:
    from pgdst.simulation.result import Result

# Properties of a report, also in JUnit's XML.
HAPPENED: Final = "pgdst_happened"
SCHEDULE: Final = "pgdst_schedule"
LANES: Final = "pgdst_lanes"
REPLAY: Final = "pgdst_replay"
PAGE: Final = "pgdst_page"
PASSES_AGAIN: Final = "pgdst_passes_again"
_LAST_RUN: Final = "pgdst.simulation.last_run"  # imported only where there is a simulation
ROOT: Final = pytest.StashKey[Path | None]()  # the folder whose .pgdst/failures takes them: the project's
SUMMARY: Final = "GITHUB_STEP_SUMMARY"  # the file to which GitHub's runner reads a summary from


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Forget the runs of other tests, and let `explore` try the schedule first at which it failed the last time."""
    if (module := sys.modules.get(_LAST_RUN)) is not None:
        module.note(None)
    with ExitStack() as opened:
        kept = _files_of(item)
        if kept is not None and (schedule := kept.schedule) is not None:
            from pgdst.simulation.explore.context import trying_first

            opened.enter_context(trying_first(schedule))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test the last run of its clients, and the command that repeats it."""
    report = yield
    if call.when != "call":
        return report
    if report.passed and (kept := _files_of(item)) is not None and kept.forget():
        report.user_properties.append((PASSES_AGAIN, str(kept.data)))  # not JUnit's, which takes the item's
    if report.failed and call.excinfo is not None:
        _tell(item, call.excinfo.value, report)
    return report


def _tell(item: pytest.Item, error: BaseException, report: pytest.TestReport) -> None:
    kind = type(error).__name__  # modules of a simulation are imported only where there was one
    if kind == "NotDeterministicError":
        try:
            where_they_are = str(_keep_traces(item, error))
        except OSError as full:
            where_they_are = f"they could not be written: {full}"
        report.sections.append(("not deterministic", f"both traces: {where_they_are}"))
    is_explored = kind == "FoundError"
    result = _last_run() if not is_explored else getattr(error, "result", None)
    if result is None:
        return
    from pgdst.simulation.report.interleaving import interleaving
    from pgdst.simulation.report.record import record

    again = item.config.stash[SHARDS].replay.of_one(where(item))
    if is_explored:
        again = f"{again} --pgdst-schedule={shlex.quote(str(result.schedule))}"
    wrong = str(getattr(error, "wrong", error)).strip()
    about: dict[str, Any] = {"test": item.nodeid, "is_explored": is_explored, "wrong": wrong, "replay": again}
    recorded = about | record(result)
    lanes, page = interleaving(result), _keep(item, recorded)
    properties = {HAPPENED: recorded["happened"], SCHEDULE: recorded["schedule"], LANES: lanes}
    properties |= {REPLAY: again, PAGE: page}
    found = [(name, text) for name, text in properties.items() if text]
    report.user_properties += found
    item.user_properties += found  # for the report of the teardown, of which JUnit's XML is made
    told = [] if is_explored else [recorded["happened"], lanes]  # the error itself says it
    told += [f"replay: {again}", f"page: {page}" if page else ""]
    report.sections.append(("explore" if is_explored else "interleaving", "\n".join(filter(None, told))))


def _last_run() -> "Result | None":
    module = sys.modules.get(_LAST_RUN)
    found: Result | None = module.last() if module is not None else None
    return found


def _keep(item: pytest.Item, recorded: dict[str, Any]) -> str:
    """Keep a failed run in the project's folder; return the path of its page, or nothing where it has no folder."""
    if (kept := _files_of(item)) is None:
        return ""
    from pgdst.simulation.report.record import in_a_page

    try:
        kept.keep(recorded, in_a_page(recorded))
    except OSError as error:
        return f"none, as it cannot be written: {error}"
    return str(kept.page)


def _files_of(item: pytest.Item) -> FailedRun | None:
    """Return the files of a test, if its project has a folder for them."""
    stash = item.config.stash
    if ROOT not in stash:
        stash[ROOT] = None
        with suppress(PgdstError):
            stash[ROOT] = load_project(item.config).root
    root = stash[ROOT]
    return FailedRun(root, item.nodeid) if root is not None else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which kept failures pass again; in GitHub Actions, put the failures into the job's summary."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == PASSES_AGAIN:
                terminalreporter.write_line(f"{report.nodeid} passes again; {text} is removed")
    if (file := os.environ.get(SUMMARY)) and (failed := list(_failures(terminalreporter))):
        try:
            with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as opened:
                opened.write("\n".join(_in_markdown(test, told) for test, told in failed))
        except OSError as error:
            terminalreporter.write_line(f"The summary for GitHub cannot be written: {error}")


def _failures(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, dict[str, str]]]:
    for report in reporter.stats.get("failed", []):
        told = {name: str(text) for name, text in report.user_properties if isinstance(name, str)}
        if LANES in told:
            yield report.nodeid, told


def _in_markdown(test: str, told: dict[str, str]) -> str:
    """Return a failure for GitHub. Its fences are longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", "".join(told.values()))), default=0))
    happened = f"{told[HAPPENED]}\n\n" if HAPPENED in told else ""
    return f"### {test}\n\n{happened}{fence}text\n{told[LANES]}\n{fence}\n\n{fence}sh\n{told[REPLAY]}\n{fence}\n"


def _keep_traces(item: pytest.Item, error: Any) -> Path:
    """Write both traces of an example that failed only once into a folder of the checkout; return the folder."""
    folder = load_project(item.config).root / ".pgdst" / "not-deterministic"
    folder.mkdir(parents=True, exist_ok=True)
    test = file_name(item.name)
    for name, lines in (("first", error.first), ("again", error.again)):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{test}-{name}.trace").write_text(text, encoding="utf-8", errors="backslashreplace")
    return folder
