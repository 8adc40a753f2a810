"""The server's processes, stopped and continued by signals, wherever the server runs."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from pgdst.errors import ServerUnreachableError
from pgdst.server.address import Server
from pgdst.server.embedded import unprivileged

# Signals take effect a moment after they are sent, so each is waited for until the process is stopped (state T), or no
# longer so; one that has ended, or takes no signal from here, is waited for no more. One `exec` for many signals takes
# 0.15 ms for each instead of 50 ms.
# Whoever asked may be killed: then the input ends, and what was stopped goes on, as a later run would wait for it.
_SHELL = """
stopped=" "
while read -r signal pids; do
    kill -s "$signal" $pids 2>/dev/null
    for pid in $pids; do
        case "$stopped" in *" $pid "*) stopped="${stopped%% $pid *} ${stopped#* $pid }" ;; esac
        [ "$signal" = STOP ] && stopped="$stopped$pid "
        while kill -s 0 "$pid" 2>/dev/null && read -r stat 2>/dev/null <"/proc/$pid/stat"; do
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
kill -s CONT $stopped 2>/dev/null
"""


class Processes(Protocol):
    """Signals to processes of one server, by the ids under which Postgres knows them."""

    def stop(self, *pids: int) -> None:
        """Stop the processes; return once none of them runs."""

    def resume(self, *pids: int) -> None:
        """Let stopped processes go on."""

    def kill(self, pid: int) -> None:
        """End a process at once, by SIGKILL."""


class _Shell:
    """A shell beside the processes, which takes one line a request and answers with one."""

    def __init__(self, ask: Callable[[bytes], bytes], run_id: str) -> None:
        self._ask = ask
        self._run_id = run_id

    def stop(self, *pids: int) -> None:
        self._request("STOP", pids)

    def resume(self, *pids: int) -> None:
        self._request("CONT", pids)

    def kill(self, pid: int) -> None:
        self._request("KILL", (pid,))

    def _request(self, name: str, pids: tuple[int, ...]) -> None:
        try:
            answer = self._ask(f"{name} {' '.join(map(str, pids))}\n".encode())
        except OSError as error:
            answer = str(error).encode()
        if answer != b"done\n":
            raise ServerUnreachableError(
                f"The server of the run {self._run_id} no longer takes signals for its processes "
                f"({answer.decode(errors='replace').strip() or 'its shell has ended'}). It was removed; start another."
            )


@contextmanager
def processes_of(server: Server) -> Iterator[Processes]:
    """Yield the processes of a server: of the embedded engine on this machine, else in the run's container.

    What they have stopped goes on when this process ends, however it ends.

    Raises: ServerUnreachableError, then and later, where the container has gone.
    """
    with _on_this_machine() if server.engine == "embedded" else _in_container(server.run_id) as ask:
        yield _Shell(ask, server.run_id)


@contextmanager
def _on_this_machine() -> Iterator[Callable[[bytes], bytes]]:
    # In a session of its own, so that what a terminal or a shell ends with this process does not end it too; and as the
    # server's own user, who can signal nobody else's processes, whatever ids the server may name.
    options = {**unprivileged.options(), "stdin": subprocess.PIPE}
    shell: subprocess.Popen[bytes]
    with subprocess.Popen(["/bin/sh", "-c", _SHELL], stdout=subprocess.PIPE, **options) as shell:
        requests, answers = shell.stdin, shell.stdout
        assert requests is not None
        assert answers is not None

        def ask(request: bytes) -> bytes:
            requests.write(request)
            requests.flush()
            return answers.readline()

        yield ask


@contextmanager
def _in_container(run_id: str) -> Iterator[Callable[[bytes], bytes]]:
    from docker.utils.socket import SocketError, next_frame_header, read_exactly

    from pgdst.server.docker import endpoint, streams  # docker-py is not needed for the embedded engine

    with closing(endpoint.connect(endpoint.choose())) as client:
        found = client.api.containers(filters={"label": f"pgdst.run={run_id}"})
        if not found:
            raise ServerUnreachableError(f"There is no container of the run {run_id}. It was removed; start another.")
        # As Postgres's own user, who may signal Postgres whatever capabilities the container lacks.
        command = ["sh", "-c", _SHELL]
        made = client.api.exec_create(found[0]["Id"], command, stdin=True, user="postgres")
        with streams.opened(client.api.exec_start(made["Id"], socket=True)) as stream:

            def ask(request: bytes) -> bytes:
                stream.sendall(request)
                try:
                    _kind, size = next_frame_header(stream)
                    answer: bytes = read_exactly(stream, size) if size > 0 else b""
                except SocketError as error:
                    raise OSError(str(error)) from error
                return answer

            yield ask
