"""The process of a search that runs shards: pytest, which keeps its server and databases for all of them.

Instead of all collected tests once, it runs those shards that the search asks for, one after another, of any run's
seed. Both talk by a socket in lines of JSON: see `pgdst.search.workers` for the other end.
"""

import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from pgdst.pytest.failed_runs import HAPPENED, LANES, PAGE, ROOT
from pgdst.pytest.fixtures import TRACED, load_project
from pgdst.pytest.origin import Origin, origin_of
from pgdst.pytest.shards import SHARD, SHARDS, Shards, records_in
from pgdst.simulation.faults.struck import struck

OPTION: Final = "--pgdst-search"

Message = Mapping[str, Any]


class SearchWorker:
    """The worker's end of the conversation, and pytest's hooks that run shards by it."""

    def __init__(self, config: pytest.Config, descriptor: int, scratch: Path) -> None:
        self._config = config
        self._root = load_project(config).root
        self._conversation = _Conversation(descriptor)
        self._shards: Shards = config.stash[SHARDS]
        self._shards.tell = lambda _index, _place, wrong: self._tell(wrong)
        config.stash[ROOT] = scratch  # where the pages of failed runs go
        self._seed: int | None = None  # of the fixture pgdst_seed, if there is one
        self._result: dict[str, Any] = {}
        self._origin: Origin | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the shards that the search asks for, until it asks for no more."""
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        items = self._shards.base(session.items)
        self._conversation.send({"shards": len(items)})
        while (order := self._conversation.next()) is not None:
            self._conversation.send(self._run(items[order["index"]], order["seed"]))
        return True

    def _run(self, item: pytest.Item, seed: int) -> Message:
        """Run one shard, and return its result."""
        self._prepare(item, seed)
        begin = time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=_Next.after(item))
        seconds = round(time.monotonic() - begin, 3)
        if "broken" in self._result or "shard" not in self._result:
            return {"broken": self._result.get("broken", "The shard was not run.")}
        faults = struck(item.stash[SHARD].trace.lines)
        return self._result | {"seconds": seconds, "faults": faults}

    def _prepare(self, item: pytest.Item, seed: int) -> None:
        """Let the next shard be as in a run of its own with this seed."""
        if "pgdst_seed" in getattr(item, "fixturenames", ()):
            if self._seed not in (None, seed):
                item.session._setupstate.teardown_exact(None)  # it is the session's, as others that depend on it
            self._seed = seed
        item.session._setupstate.teardown_exact(item)  # fixtures of another module
        self._config.option.pgdst_seed = seed
        if "hypothesis" in sys.modules:
            from hypothesis import core

            core.global_force_seed = seed  # type: ignore[assignment]  # it is None at first; as by Hypothesis's own option at the start
        self._shards.forget()
        self._config.stash[TRACED].clear()
        item.user_properties.clear()
        self._result, self._origin = {}, None

    def _tell(self, wrong: str) -> None:
        """Tell the search of a failure at once; it says whether to shrink it: a known one is not shrunk again."""
        error = sys.exception()
        if error is None or self._origin is not None or isinstance(error, KeyboardInterrupt):
            return
        self._origin = origin_of(error, self._root)
        self._conversation.send({"fails": self._origin.id, "wrong": wrong})
        answer = self._conversation.next()
        if answer is not None and not answer["shrink"] and "hypothesis" in sys.modules:
            from pgdst.simulation.hypothesis.examples import limit_shrinking

            limit_shrinking(0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
        item: pytest.Item,  # noqa: ARG002  pytest's hook
        call: pytest.CallInfo[None],
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what becomes of the shard: its record, and its failure."""
        report = yield
        if report.failed and call.excinfo is not None:
            if call.when == "setup":  # the server's, as a rule: not what the shard was to show
                self._result["broken"] = report.longreprtext
            elif "failure" not in self._result:
                self._result["failure"] = self._failure(call.excinfo.value, report)
        for record in records_in(report):
            self._result["shard"] = record
        return report

    def _failure(self, error: BaseException, report: pytest.TestReport) -> Message:
        # An example that fails once and then passes is a failure of its own: the simulation is not deterministic.
        # By its name, as its module is imported only where it is needed.
        is_flaky = type(error).__name__ == "NotDeterministicError"
        origin = origin_of(error, self._root) if self._origin is None or is_flaky else self._origin
        told = {name: str(text) for name, text in report.user_properties if isinstance(name, str)}
        return {
            "id": origin.id,
            "check": origin.check,
            "code": origin.code,
            "wrong": str(error) or type(error).__name__,
            "report": report.longreprtext,
            "happened": told.get(HAPPENED, ""),
            "lanes": told.get(LANES, ""),
            "page": told.get(PAGE, ""),
        }


class _Next(pytest.Item):
    """Stands for the test that comes next, in the same place: only what belongs to one shard is torn down."""

    @classmethod
    def after(cls, item: pytest.Item) -> "_Next":
        """Return one in the place of an item."""
        assert item.parent is not None  # only the session has none
        made: _Next = cls.from_parent(item.parent, name="next")
        return made

    def runtest(self) -> None:
        """It is never run."""


def _interrupt(_number: int, _frame: object) -> None:
    """End as by Ctrl-C, so that fixtures give back what they have; a second signal does not interrupt that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


class _Conversation:
    """Lines of JSON with the search. If the search is killed, this process ends, too."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._received: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        signal.signal(signal.SIGTERM, _interrupt)
        threading.Thread(target=self._receive, daemon=True, name="pgdst-search").start()

    def _receive(self) -> None:
        # A connection is reset, and not ended, if the search was killed before it has read all.
        with suppress(OSError), self._socket.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                message = json.loads(line)
                self._received.put(message)
                if message is None:
                    return
        # The search was killed, and nobody wants this shard. Its server ends with this process, which holds the lease.
        # To drop the databases first could take a minute: Postgres waits for a connection that was being opened.
        os._exit(1)

    def next(self) -> Message | None:
        """Return the next message, or None, which is the last."""
        return self._received.get()

    def send(self, message: Message) -> None:
        """Send a message."""
        self._socket.sendall(f"{json.dumps(message)}\n".encode())
