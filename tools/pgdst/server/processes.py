"""The server's processes, stopped and continued by signals, wherever the server runs."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pgdst.errors import ServerUnreachableError
from pgdst.server.address import Server

# Signals take effect a moment after they are sent, so each is waited for until the process is stopped (state T), or no
# longer so; one that has ended is waited for no more. One `exec` for many signals: 0.15 ms for each instead of 50 ms.
_SHELL = """
while read -r signal pids; do
    kill -s "$signal" $pids 2>/dev/null
    for pid in $pids; do
        while read -r stat 2>/dev/null <"/proc/$pid/stat"; do
            case "$signal $stat" in
            STOP*") T "*) break ;;
            STOP*) ;;
            KILL*) break ;;
            *") T "*) ;;
            *) break ;;
            esac
        done
    done
    echo done
done
"""
_STDOUT = 1


class Processes(Protocol):
    """Signals to processes of one server, by the ids under which Postgres knows them."""

    def stop(self, *pids: int) -> None:
        """Stop the processes; return once none of them runs."""

    def resume(self, *pids: int) -> None:
        """Let stopped processes go on."""

    def kill(self, pid: int) -> None:
        """End a process at once, by SIGKILL."""


@contextmanager
def processes_of(server: Server) -> Iterator[Processes]:
    """Yield the processes of a server: of the embedded engine on this machine, else in the run's container.

    Raises: ServerUnreachableError, then and later, where the container has gone.
    """
    if server.host.startswith("/"):
        yield _OnThisMachine()
        return
    with _in_container(server.run_id) as processes:
        yield processes


class _OnThisMachine:
    def stop(self, *pids: int) -> None:
        self._send(signal.SIGSTOP, pids, lambda state: state == "T")

    def resume(self, *pids: int) -> None:
        self._send(signal.SIGCONT, pids, lambda state: state != "T")

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def _send(self, number: int, pids: tuple[int, ...], expected: Callable[[str], bool]) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
                while not expected(_state(pid)):
                    pass
            except (ProcessLookupError, FileNotFoundError):
                continue


def _state(pid: int) -> str:
    # The name of the program, in parentheses, may have spaces in it.
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]


class _InContainer:
    """A shell in the container that takes one line a request, and answers with one."""

    def __init__(self, stream: Any, run_id: str) -> None:
        self._stream = stream
        self._run_id = run_id

    def stop(self, *pids: int) -> None:
        self._request("STOP", pids)

    def resume(self, *pids: int) -> None:
        self._request("CONT", pids)

    def kill(self, pid: int) -> None:
        self._request("KILL", (pid,))

    def _request(self, name: str, pids: tuple[int, ...]) -> None:
        from docker.utils.socket import SocketError, next_frame_header, read_exactly

        try:
            self._stream.sendall(f"{name} {' '.join(map(str, pids))}\n".encode())
            kind, size = next_frame_header(self._stream)
            answer = read_exactly(self._stream, size) if size > 0 else b""
        except (OSError, SocketError) as error:
            kind, answer = -1, str(error).encode()
        if (kind, answer) != (_STDOUT, b"done\n"):
            raise ServerUnreachableError(
                f"The container of the run {self._run_id} no longer takes signals for its processes "
                f"({answer.decode(errors='replace').strip() or 'its shell has ended'}). It was removed; start another."
            )


@contextmanager
def _in_container(run_id: str) -> Iterator[_InContainer]:
    from pgdst.server import endpoint  # docker-py is not needed for the embedded engine

    with closing(endpoint.connect(endpoint.choose())) as client:
        found = client.api.containers(filters={"label": f"pgdst.run={run_id}"})
        if not found:
            raise ServerUnreachableError(f"There is no container of the run {run_id}. It was removed; start another.")
        # As Postgres's own user, who may signal Postgres whatever capabilities the container lacks.
        command = ["sh", "-c", _SHELL]
        made = client.api.exec_create(found[0]["Id"], command, stdin=True, user="postgres")
        opened = client.api.exec_start(made["Id"], socket=True)
        stream = getattr(opened, "_sock", opened)  # a SocketIO over a Unix socket, which only reads
        with closing(opened), closing(stream):
            yield _InContainer(stream, run_id)
