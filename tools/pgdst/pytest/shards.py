"""The shards of a run in pytest: their collection, execution, results and progress.

Each test that uses a trace, a coverage or a shard is one shard, or as many as the backend's hook
`pytest_pgdst_shards` says. With pytest-xdist any number of processes take them.
"""

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from pgdst.pytest.failures import Failure
from pgdst.pytest.replay import SENT, Replay, where
from pgdst.pytest.shard import Record, Shard, Sum, seed_of, summed
from pgdst.server.lifetime.signals import uninterrupted

FIXTURE: Final = "run_shard"
PROPERTY: Final = "pgdst-shard"
EXTENSION: Final = "-extension-"  # in the ids of tests that are shards of one
POLL_SECONDS: Final = 0.05
# How often the progress is printed if the output is not a terminal.
LINE_EVERY_SECONDS: Final = 15.0


class Hooks:
    """The hooks that a backend can implement."""

    @pytest.hookspec(firstresult=True)
    def pytest_pgdst_shards(self, config: pytest.Config, test: str) -> Sequence[int] | None:
        """Return the number of a test's shards, then that of each extension of it; None means one shard.

        An extension is run only if the coverage must reach everything that the test declares, and the shards before
        it have not done so.
        """


class Shards:
    """The shards that this process runs; in the main process, those of all processes."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._records: dict[int, Record] = {}
        self._passed_over: dict[int, Record] = {}
        self._index: dict[str, int] = {}  # by the items' ids
        self._before: dict[str, range] = {}  # by extensions' ids, the indexes of the shards before them
        self._selected: set[int] = set()
        self._tests: dict[str, int] = {}  # the number of each test's shards, without extensions
        self._in_part: set[str] = set()  # the tests with shards that were not selected
        self._progress = _Progress(config)
        self._common = _Common.of(config)
        self.replay = Replay.of(config)
        # How a failure is told at once: its shard's index, its test, its error.
        self.tell: Callable[[int, str, str], None] = self._tell

    # Collection.

    @pytest.hookimpl
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize a test into its shards, those of its extensions included."""
        if FIXTURE not in metafunc.fixturenames:
            return
        name = metafunc.function.__name__
        counts = metafunc.definition.ihook.pytest_pgdst_shards(config=metafunc.config, test=name) or [1]
        self._tests[metafunc.definition.nodeid] = counts[0]
        if sum(counts) > 1:
            rounds = [extension for extension, count in enumerate(counts) for _ in range(count)]
            parameters = list(enumerate(rounds))
            ids = [f"{number}{EXTENSION}{one}" if one else str(number) for number, one in parameters]
            metafunc.parametrize(FIXTURE, parameters, indirect=True, ids=ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Number the shards, extensions last, before any deselection; with --pgdst-shard, select that one only."""
        items.sort(key=_round_of)
        shards = [item for item in items if FIXTURE in getattr(item, "fixturenames", ())]
        self._index = {item.nodeid: index for index, item in enumerate(shards)}
        for item in shards:
            if _round_of(item):
                earlier = sum(_round_of(one) < _round_of(item) for one in shards)
                self._before[item.nodeid] = range(earlier)
        wanted = config.option.pgdst_shard
        if wanted is not None:
            if wanted >= len(shards):
                raise pytest.UsageError(f"There is no shard {wanted}: the run has {len(shards)}, from 0 on.")
            others = [item for item in items if self._index.get(item.nodeid) != wanted]
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if self._index.get(item.nodeid) == wanted]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the selected shards: extensions depend on these alone, and the progress counts these."""
        self._selected = {self._index[item.nodeid] for item in session.items if item.nodeid in self._index}
        base = [item for item in session.items if item.nodeid in self._index and not _round_of(item)]
        self._progress.expect(len(base))
        selected = Counter(map(_test_of, base))
        self._in_part = {test for test, shards in self._tests.items() if selected[test] < shards}

    def base(self, items: Sequence[pytest.Item]) -> list[pytest.Item]:
        """Return those of the items that are shards, in order, without extensions."""
        return [item for item in items if item.nodeid in self._index and not _round_of(item)]

    # Execution and results.

    def forget(self) -> None:
        """Forget the shards that were run: the next one is that of another run."""
        self._records.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Skip shards after a failed one, as they do not count any more, and extensions that are not needed."""
        index = self._index.get(item.nodeid)
        if index is None or not self._is_passed_over(item, index):
            return None
        if nextitem is not None:  # the test before has left fixtures open that this one would share
            item.session._setupstate.teardown_exact(nextitem)
        return True

    def _is_passed_over(self, item: pytest.Item, index: int) -> bool:
        if any(failed < index for failed in self._failed()):
            return True
        before = self._before.get(item.nodeid)
        if before is None or self._config.option.pgdst_shard is not None or self._is_needed(before):
            return False
        self._pass_over(index)
        return True

    def _pass_over(self, index: int) -> None:
        """Record, for other processes, that an extension is not run: an empty record, which is no part of the run."""
        self._passed_over[index] = Shard(index, 0, 0).as_record(failed=False)
        self._common.write(self._passed_over[index])

    def _failed(self) -> list[int]:
        return [index for index, record in self._known().items() if record["failed"]]

    def _is_needed(self, before: range) -> bool:
        """Return whether the shards before an extension have not reached everything. Waits for other processes."""
        wanted = self._selected.intersection(before)
        if not wanted:  # the extension was selected alone
            return True
        while not wanted <= self._known().keys():
            if self._failed() or self._common.is_broken():
                return False
            time.sleep(POLL_SECONDS)
        found = summed({index: self._known()[index] for index in wanted})
        return found.coverage.must_reach_everything and bool(found.coverage.unreached())

    def _known(self) -> dict[int, Record]:
        return self._common.read(self._records | self._passed_over)

    def shard(self, request: pytest.FixtureRequest) -> Shard:
        """Return the shard that a test is."""
        number, _round = getattr(request, "param", (0, 0))
        test = request.node.originalname or request.node.name
        seed = seed_of(self._config.option.pgdst_seed, test, number)
        shard = self._new(request.node, number, seed)
        request.node.stash[SHARD] = shard
        return shard

    def _new(self, item: pytest.Item, number: int = 0, seed: int = 0) -> Shard:
        index, place = self._index[item.nodeid], where(item)
        is_whole = _test_of(item) not in self._in_part
        return Shard(index, number, seed, lambda wrong: self.tell(index, place, wrong), place, is_whole)

    def _keep(self, index: int, wrong: str) -> None:
        """Keep a failed shard for the next run, if --pgdst-keep-failures is given."""
        option = self._config.option
        if option.pgdst_keep_failures is not None:
            failure = Failure(
                option.pgdst_seed, index, option.pgdst_profile, option.pgdst_examples, option.pgdst_faults, wrong
            )
            failure.keep(option.pgdst_keep_failures)

    def _tell(self, index: int, place: str, wrong: str) -> None:
        """Print a failure at once, bypassing pytest's capture. A worker's standard error is that of the user."""
        again = self.replay.of_one(place, index)
        seconds = self._config.option.pgdst_shrink_seconds
        told = f"\nfailed: {wrong}\nreplay: {again}\nShrinking the failing example, for {seconds:g} s at most …\n"
        # An interrupt while pytest resumes its capture would make it swallow all later output.
        with uninterrupted(), self._config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            self._progress.clear()
            os.write(2, told.encode(errors="backslashreplace"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add a shard's record to the report of its test."""
        index = self._index.get(item.nodeid)
        if index is not None and (call.when == "call" or (call.when == "setup" and call.excinfo is not None)):
            shard = item.stash.get(SHARD, None) or self._new(item)  # its fixtures may have failed
            record = shard.as_record(failed=call.excinfo is not None)
            if call.excinfo is not None and call.when == "call":
                self._keep(index, str(call.excinfo.value))
            item.user_properties.append((PROPERTY, record))
            self._common.write(record)
            self._records[index] = record
        return (yield)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the record of a shard out of a report, from whatever process."""
        for record in records_in(report):
            self._records[record["index"]] = record
            self._progress.show(summed(self._records), len(self._records))

    @pytest.hookimpl
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no dot for a passed shard while the progress is shown."""
        if report.passed and report.when == "call" and self._progress.is_shown and records_in(report):
            return "passed", "", "PASSED"
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:  # noqa: ARG002  xdist's hook
        """Note the number of shards in the main process, which collects nothing itself."""
        self._progress.expect(sum(EXTENSION not in one for one in ids))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send the folder of records and the replay to a worker of xdist."""
        node.workerinput[PROPERTY] = str(self._common.folder)
        node.workerinput[SENT] = asdict(self.replay)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:  # noqa: ARG002  xdist's hook
        """Keep other workers from waiting for the shard of a worker that has crashed."""
        if error is not None:
            self._common.break_off()

    def sum(self) -> Sum | None:
        """Return the sum of all processes' shards, or None if there are none."""
        return summed(self._records) if self._records else None

    def close(self) -> None:
        """Remove the folder of records."""
        self._progress.clear()
        self._common.close()


SHARD = pytest.StashKey[Shard]()
SHARDS = pytest.StashKey[Shards]()


def records_in(report: pytest.TestReport) -> list[Record]:
    """Return the record in a report, as a list; an empty one if the report is not that of a shard's result."""
    of_the_test = report.when == "call" or (report.when == "setup" and not report.passed)
    found: list[tuple[str, Any]] = report.user_properties
    return [value for name, value in found if name == PROPERTY] if of_the_test else []


def _test_of(item: pytest.Item) -> str:
    """Return the node id of the test to which a shard belongs."""
    return item.nodeid.partition("[")[0]


def _round_of(item: pytest.Item) -> int:
    """Return the number of an item's extension, from 1, or 0 if it is none."""
    callspec = getattr(item, "callspec", None)
    return int(callspec.params.get(FIXTURE, (0, 0))[1]) if callspec else 0


class _Common:
    """Records that the processes of a run share in a folder. With one process there is no folder."""

    def __init__(self, folder: Path | None, *, owned: bool) -> None:
        self.folder = folder
        self._owned = owned
        self._read: dict[int, Record] = {}

    @classmethod
    def of(cls, config: pytest.Config) -> "_Common":
        """Return the records of this run. The main process makes the folder, beside the run's other files."""
        if hasattr(config, "workerinput"):
            return cls(Path(config.workerinput[PROPERTY]), owned=False)
        if not getattr(config.option, "numprocesses", None):
            return cls(None, owned=False)
        beside = os.environ.get("PGDST_EVIDENCE")
        folder = tempfile.mkdtemp(prefix="pgdst-shards-", dir=Path(beside).parent if beside else None)
        return cls(Path(folder), owned=True)

    def write(self, record: Record) -> None:
        if self.folder is not None:
            new = self.folder / f"{record['index']}.new"
            new.write_text(json.dumps(record), encoding="utf-8")
            new.rename(self.folder / f"{record['index']}.json")

    def read(self, own: dict[int, Record]) -> dict[int, Record]:
        """Return the records of all processes so far."""
        for file in self.folder.glob("*.json") if self.folder else ():
            if int(file.stem) not in self._read:
                self._read[int(file.stem)] = json.loads(file.read_text(encoding="utf-8"))
        return {**own, **self._read}

    def break_off(self) -> None:
        if self.folder is not None:
            (self.folder / "broken").touch()

    def is_broken(self) -> bool:
        return self.folder is not None and (self.folder / "broken").exists()

    def close(self) -> None:
        if self._owned and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class _Progress:
    """One line of progress: rewritten at a terminal, else printed now and then."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = time.monotonic()
        self._told = self._began
        self._shards = 0
        self._is_on_the_line = False

    def expect(self, shards: int) -> None:
        self._shards = shards

    @property
    def is_shown(self) -> bool:
        """Whether to show the progress: for several shards, in the main process, with neither -q nor -v."""
        return self._shards > 1 and self._config.option.verbose == 0 and not hasattr(self._config, "workerinput")

    def show(self, found: Sum, done: int) -> None:
        if not self.is_shown:
            return
        counts = found.coverage.counts()
        reached = f"{sum(map(bool, counts.values()))} of {len(counts)} reached, " if counts else ""
        elapsed = time.monotonic() - self._began
        self._write(
            f"pgdst: {done} of {max(done, self._shards)} shards, {found.examples} examples, {reached}{elapsed:.0f} s"
        )

    def clear(self) -> None:
        if self._is_on_the_line:
            self._reporter.rewrite("", erase=True)
            self._is_on_the_line = False

    def _write(self, line: str) -> None:
        if self._reporter.isatty:
            self._reporter.rewrite(line, erase=True)
            self._is_on_the_line = True
        elif time.monotonic() - self._told >= LINE_EVERY_SECONDS:
            self._reporter.write_line(line)
            self._told = time.monotonic()

    @property
    def _reporter(self) -> Any:
        return self._config.pluginmanager.getplugin("terminalreporter")
