"""A worker of a search: a process of pytest with a server of its own that runs one shard after another.

`pgdst.pytest.search_worker` is its other end.
"""

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pgdst.errors import PgdstError
from pgdst.project import Project
from pgdst.pytest.simulation_run import environment
from pgdst.search.plan import Place

# A process and its server grow: dead rows are not vacuumed, and each failure stays in pytest's memory.
SHARDS_A_PROCESS: Final = 100
_ENDS_WITHIN_SECONDS: Final = 20.0
_END_OF_OUTPUT: Final = 30  # lines
# Variables of a run around the search, as each worker has a server of its own; KEEP=1 would end it at a failure.
_NOT_ITS_OWN: Final = (
    *("PGDST_DATABASE_URL", "PGDST_RUN_ID", "PGDST_SERVER_ENGINE", "PGDST_MANIFEST", "PGDST_EVIDENCE"),
    *("PGDST_KEEP", "PGDST_REPLAY", "GITHUB_STEP_SUMMARY"),
)

Message = Mapping[str, Any]


class WorkerError(PgdstError):
    """A worker has ended, or could not run a shard."""


class Worker:
    """One process. `ran` is the number of shards that it has run, `scratch` a folder for its output and pages."""

    def __init__(self, project: Project, command: Sequence[str], variables: Mapping[str, str], scratch: Path) -> None:
        self._scratch = Path(tempfile.mkdtemp(dir=scratch))
        self._output = self._scratch / "output"
        self._socket, others = socket.socketpair()
        self._lines = self._socket.makefile("r", encoding="utf-8")
        try:
            with others, self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    [*command, f"--pgdst-search={others.fileno()}:{self._scratch}"],
                    cwd=project.backend,
                    env=_environment(project, variables),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(others.fileno(),),
                    start_new_session=True,  # Ctrl-C is the search's to hand on
                )
            self.ran = 0
        except BaseException:
            self._close()
            raise

    def shards_a_run(self) -> int:
        """Return how many shards a run has, once the worker has collected them. Raises: WorkerError."""
        return int(self._receive()["shards"])

    def run(self, place: Place, shrink: Callable[[str, str], bool]) -> Message:
        """Run a shard and return its result. `shrink` is asked, with a failure's id and error, whether to shrink it.

        Raises: WorkerError, if there is no result.
        """
        self._send({"seed": place.seed, "index": place.index})
        message = self._receive()
        if "fails" in message:
            self._send({"shrink": shrink(message["fails"], message["wrong"])})
            message = self._receive()
        if "broken" in message:
            raise WorkerError(message["broken"])
        self.ran += 1
        return message

    def end(self) -> None:
        """Let the process end by itself, and wait for it."""
        with suppress(WorkerError):
            self._send(None)
        self._wait()

    def stop(self) -> None:
        """Stop the process, whatever it does."""
        self.terminate()
        self._wait()

    def terminate(self) -> None:
        """Ask the process to stop, from another thread."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def _wait(self) -> None:
        try:
            self._process.wait(_ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._lines.close()
        self._socket.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _send(self, message: Message | None) -> None:
        try:
            self._socket.sendall(f"{json.dumps(message)}\n".encode())
        except OSError as error:
            raise WorkerError(self._why_it_ended()) from error

    def _receive(self) -> Message:
        try:
            line = self._lines.readline()
        except OSError:
            line = ""
        if not line:
            raise WorkerError(self._why_it_ended())
        found: Message = json.loads(line)
        return found

    def _why_it_ended(self) -> str:
        """Return its status and the end of its output."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_WITHIN_SECONDS)
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        told = "\n".join(lines[-_END_OF_OUTPUT:])
        return f"A process of the search ended with status {self._process.poll()}:\n{told}"


def _environment(project: Project, variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environment().items() if name not in _NOT_ITS_OWN}
    return kept | project.environment() | dict(variables)
