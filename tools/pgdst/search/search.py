"""The search: workers take shards, and their results go into a folder, one after another."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pgdst.errors import ConfigurationError
from pgdst.search.folder import Folder, Identity
from pgdst.search.keeping import keep
from pgdst.search.ledger import Ledger, Wanted
from pgdst.search.plan import in_words
from pgdst.search.workers import SHARDS_A_PROCESS, Message, Worker, WorkerError

LINE_EVERY_SECONDS: Final = 15.0
# So many workers in a row that could not run their shard: something is wrong with the machine, or with the simulation.
MOST_BROKEN: Final = 3


class Search:
    """A search in a folder that this process has locked.

    `start` makes a worker. `identify` returns what the search is, once a worker has said how many shards a run has.
    """

    def __init__(
        self,
        folder: Folder,
        wanted: Wanted,
        *,
        start: Callable[[], Worker],
        identify: Callable[[int], Identity],
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._wanted = folder, wanted
        self._start, self._identify, self._say = start, identify, say
        self._began = time.monotonic()
        self._lock = threading.RLock()  # guards what follows
        self._ledger: Ledger | None = None
        self._workers: set[Worker] = set()
        self._broken = 0  # workers in a row
        self._left_out: list[int] = []  # the shards of broken workers
        self._error: BaseException | None = None
        self._is_over = False  # no shard is taken any more
        self._is_stopped = False

    def run(self, workers: int) -> bool:
        """Run the shards by so many workers; return whether the folder has a failure.

        Raises: ConfigurationError, if the folder is that of another search; WorkerError, if a shard could not be run.
        """
        needed = min(workers, self._wanted.most or workers)
        threads = [threading.Thread(target=self._work, name=f"worker {number}") for number in range(needed)]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._wait_for(threads)
        finally:
            self._stop()
            for thread in threads:
                thread.join()
            self._say_how_far()
        if self._error is not None:
            raise self._error
        if self._left_out:
            raise WorkerError(f"Not run: {in_words(self._left_out)}, see above. The same command tries them again.")
        return self._ledger is not None and bool(self._ledger.failures)

    def _wait_for(self, threads: list[threading.Thread]) -> None:
        """Wait until all threads have ended, or for a while; then say how far it is."""
        end = time.monotonic() + LINE_EVERY_SECONDS
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        if time.monotonic() >= end:
            self._say_how_far()

    def _say_how_far(self) -> None:
        with self._lock:
            if self._ledger is None:
                return
            seconds = time.monotonic() - self._began
            rate = f"{60 * self._ledger.here / seconds:.1f} shards a minute"
            self._say(f"search: {self._ledger}; {seconds:.0f} s, {rate}")

    def _stop(self) -> None:
        """Stop all workers; in the end none runs."""
        with self._lock:
            self._is_over = self._is_stopped = True
            for worker in self._workers:
                worker.terminate()

    # In the threads.

    def _work(self) -> None:
        try:
            while not self._is_over:
                self._work_in_one_process()
        except BaseException as error:  # it is raised again in the main thread
            with self._lock:
                self._error = self._error or error
            self._stop()

    def _work_in_one_process(self) -> None:
        with self._lock:
            if self._is_over:
                return
            identity = self._identify(1)
            worker = self._start()
            self._workers.add(worker)
        try:
            self._run_shards(worker, identity)
            worker.end()
        finally:
            worker.stop()
            with self._lock:
                self._workers.discard(worker)

    def _run_shards(self, worker: Worker, before: Identity) -> None:
        try:
            ledger = self._begin(worker.shards_a_run(), before)
        except WorkerError:
            if self._is_stopped:
                return
            raise
        while worker.ran < SHARDS_A_PROCESS and (shard := self._take(ledger)) is not None:
            try:
                self._run(worker, ledger, shard)
            except WorkerError as error:
                self._note_broken(error, shard)
                return

    def _begin(self, shards_a_run: int, before: Identity) -> Ledger:
        """Return the ledger, made as soon as the first worker knows how many shards a run has.

        `before` is what the search was as the worker was started. Raises: ConfigurationError, if it is another by now.
        """
        with self._lock:
            identity = self._identify(shards_a_run)
            if self._ledger is None:
                self._ledger = Ledger(self._folder, self._wanted, identity)
                if self._ledger.before:
                    self._say(f"search: it goes on; {self._ledger}")
            if replace(before, shards_a_run=shards_a_run) != identity or identity != self._ledger.identity:
                raise ConfigurationError("Sources or packages have changed since the search began. Start it anew.")
            return self._ledger

    def _take(self, ledger: Ledger) -> int | None:
        minutes = self._wanted.minutes
        with self._lock:
            is_late = minutes is not None and time.monotonic() - self._began >= 60 * minutes
            shard = None if is_late or self._is_over else ledger.next()
            self._is_over = self._is_over or shard is None
            return shard

    def _run(self, worker: Worker, ledger: Ledger, shard: int) -> None:
        claimed: set[str] = set()  # failures that are this shard's to shrink and to keep

        def claim(failure: str, wrong: str) -> bool:
            with self._lock:
                if ledger.claim(failure):
                    claimed.add(failure)
                    self._say(f"search: shard {shard} fails and is shrunk, failure {failure}: {wrong}")
            return failure in claimed

        try:
            result = worker.run(ledger.place(shard), claim)
            with self._lock:
                self._broken = 0
                self._keep(ledger, shard, result, claimed)
                ledger.add(shard, result)
        finally:
            with self._lock:
                ledger.give_up(claimed)

    def _keep(self, ledger: Ledger, shard: int, result: Message, claimed: set[str]) -> None:
        """Keep the failure of a shard, if it has one that is new; it is no longer among the claimed then."""
        if "failure" in result:
            failure = result["failure"]["id"]  # another one than was claimed, if it could not be repeated
            if failure in claimed or ledger.claim(failure):
                keep(self._folder, ledger.identity, shard, ledger.place(shard), result)
                claimed.discard(failure)

    def _note_broken(self, error: WorkerError, shard: int) -> None:
        """Leave a shard out and go on. Raises: the error, if several workers in a row were broken."""
        with self._lock:
            if self._is_stopped:
                return
            self._broken += 1
            self._left_out.append(shard)
            self._say(f"search: shard {shard} could not be run: {error}")
            if self._broken >= MOST_BROKEN:
                raise error
