"""A run's shards in pytest: which there are, who runs them, what came of them, and how far the run is.

Each test that has a trace, a coverage or a shard is a shard, or several where the backend's hook `pytest_pgdst_shards`
says so. With pytest-xdist any number of processes take them.
"""

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
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
# How often a line says how far the run is where it cannot be rewritten.
LINE_EVERY_SECONDS: Final = 15.0


class Hooks:
    """What the plugin asks a backend."""

    @pytest.hookspec(firstresult=True)
    def pytest_pgdst_shards(self, config: pytest.Config, test: str) -> Sequence[int] | None:
        """Return how many shards a test has, and how many each extension of it, or None for one.

        An extension is run only where the coverage must reach everything that the test declares, and the shards before
        it have not.
        """


class Shards:
    """The shards of this process's part of a run; in the process that was called, also those of all others."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._records: dict[int, Record] = {}
        self._passed_over: dict[int, Record] = {}
        self._index: dict[str, int] = {}  # by the items' ids
        self._before: dict[str, range] = {}  # of extensions: the indexes of what decides whether they are needed
        self._selected: set[int] = set()
        self._tests: dict[str, int] = {}  # how many shards each has, its extensions left out
        self._in_part: set[str] = set()  # the tests of which some shards were not selected
        self._progress = _Progress(config)
        self._common = _Common.of(config)
        self.replay = Replay.of(config)

    # Which there are.

    @pytest.hookimpl
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make as many tests of one as it has shards, those of its extensions included."""
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
        """Number the shards, extensions last, before anything is deselected; leave only one where it was asked for."""
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
        """Note what was selected: an extension looks at nothing else, and the progress counts to it."""
        self._selected = {self._index[item.nodeid] for item in session.items if item.nodeid in self._index}
        base = [item for item in session.items if item.nodeid in self._index and not _round_of(item)]
        self._progress.expect(len(base))
        selected = Counter(map(_test_of, base))
        self._in_part = {test for test, shards in self._tests.items() if selected[test] < shards}

    # Who runs them, and what came of them.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Pass over what no longer counts, as a shard before it has failed, and extensions that are not needed."""
        index = self._index.get(item.nodeid)
        if index is None or not self._is_passed_over(item, index):
            return None
        if nextitem is not None:  # the test before has left open what it has in common with this one
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
        """Let others know that an extension will not be run: it has reached nothing, and is no part of the run."""
        self._passed_over[index] = Shard(index, 0, 0).as_record(failed=False)
        self._common.write(self._passed_over[index])

    def _failed(self) -> list[int]:
        return [index for index, record in self._known().items() if record["failed"]]

    def _is_needed(self, before: range) -> bool:
        """Return whether the shards before an extension have left out anything; wait for those of other processes."""
        wanted = self._selected.intersection(before)
        if not wanted:  # it was asked for by name
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
        return Shard(index, number, seed, lambda wrong: self._tell(index, place, wrong), place, is_whole)

    def _keep(self, index: int, wrong: str) -> None:
        """Keep a shard that has failed for the next run, if that was asked for."""
        option = self._config.option
        if option.pgdst_keep_failures is not None:
            failure = Failure(
                option.pgdst_seed, index, option.pgdst_profile, option.pgdst_examples, option.pgdst_faults, wrong
            )
            failure.keep(option.pgdst_keep_failures)

    def _tell(self, index: int, place: str, wrong: str) -> None:
        """Say at once what has failed, past what pytest captures; a worker's standard error is the user's."""
        again = self.replay.of_one(place, index)
        seconds = self._config.option.pgdst_shrink_seconds
        told = f"\nfailed: {wrong}\nreplay: {again}\nMaking the failing example smaller, for {seconds:g} s at most …\n"
        # An interrupt while pytest takes its capture up again would have it swallow all that is said after it.
        with uninterrupted(), self._config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            self._progress.clear()
            os.write(2, told.encode(errors="backslashreplace"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send what came of a shard with the report of its test."""
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
        """Take over what came of a shard, in whatever process it was run."""
        for record in records_in(report):
            self._records[record["index"]] = record
            self._progress.show(summed(self._records), len(self._records))

    @pytest.hookimpl
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no dot for a shard that passed where the progress is shown."""
        if report.passed and report.when == "call" and self._progress.is_shown and records_in(report):
            return "passed", "", "PASSED"
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:  # noqa: ARG002  xdist's hook
        """Note what was selected, in the process that collects nothing itself."""
        self._progress.expect(sum(EXTENSION not in one for one in ids))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where the records of all are kept."""
        node.workerinput[PROPERTY] = str(self._common.folder)
        node.workerinput[SENT] = asdict(self.replay)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:  # noqa: ARG002  xdist's hook
        """Let nobody wait for the shard of a worker that has crashed."""
        if error is not None:
            self._common.break_off()

    def sum(self) -> Sum | None:
        """Return what the shards of all processes came to, or None where there is none."""
        return summed(self._records) if self._records else None

    def close(self) -> None:
        """Remove the folder of records."""
        self._progress.clear()
        self._common.close()


SHARD = pytest.StashKey[Shard]()
SHARDS = pytest.StashKey[Shards]()


def records_in(report: pytest.TestReport) -> list[Record]:
    """Return what came of the shard that a report is about, if it is about one that has been run."""
    of_the_test = report.when == "call" or (report.when == "setup" and not report.passed)
    found: list[tuple[str, Any]] = report.user_properties
    return [value for name, value in found if name == PROPERTY] if of_the_test else []


def _test_of(item: pytest.Item) -> str:
    """Return the node id of the test that an item is a shard of."""
    return item.nodeid.partition("[")[0]


def _round_of(item: pytest.Item) -> int:
    """Return which extension an item is, 0 for none."""
    callspec = getattr(item, "callspec", None)
    return int(callspec.params.get(FIXTURE, (0, 0))[1]) if callspec else 0


class _Common:
    """Records that the processes of a run show each other, in a folder; without others there is no folder."""

    def __init__(self, folder: Path | None, *, owned: bool) -> None:
        self.folder = folder
        self._owned = owned
        self._read: dict[int, Record] = {}

    @classmethod
    def of(cls, config: pytest.Config) -> "_Common":
        """Return those of this run: the process that was called makes the folder, beside the run's other files."""
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
    """One line that says how far the run is: rewritten at a terminal, else written now and then."""

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
        """Whether there is something to be told to somebody who wants it."""
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
