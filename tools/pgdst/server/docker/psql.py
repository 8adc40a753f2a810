"""psql inside a container, with this terminal: the Docker API alone, no docker command line."""

import os
import shutil
import signal
import socket
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.utils.socket import STDERR, frames_iter

from pgdst.errors import ConfigurationError
from pgdst.server.docker.streams import opened


def run_in_container(api: docker.APIClient, container: str, command: list[str]) -> int:
    """Run `command` in the container with our standard streams; return its exit status.

    With a terminal on both sides the container gets one too, of the same size.
    """
    if sys.stdin is None or sys.stdout is None:
        raise ConfigurationError("psql needs standard input and output, and one of them is closed.")
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    environment = {"TERM": os.environ.get("TERM", "dumb"), "LC_ALL": "C.UTF-8"}
    made = api.exec_create(container, command, stdin=True, tty=terminal, environment=environment)["Id"]
    with opened(api.exec_start(made, tty=terminal, socket=True)) as stream:
        stream.settimeout(None)
        threading.Thread(target=_send_input, args=(stream,), daemon=True).start()
        with _raw_terminal(api, made) if terminal else _as_it_is():
            for source, data in frames_iter(stream, tty=terminal):  # type: ignore[no-untyped-call]  # docker-py has no types
                out = sys.stderr if source == STDERR else sys.stdout
                out.buffer.write(data)
                out.buffer.flush()
    return int(api.exec_inspect(made)["ExitCode"] or 0)


def _send_input(connection: socket.socket) -> None:
    """Send our standard input until its end, and the end too."""
    try:
        while data := os.read(sys.stdin.fileno(), 65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:  # psql has ended before its input did
        return


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _raw_terminal(api: docker.APIClient, made: str) -> Iterator[None]:
    """Let every key reach psql, tell it the size of the terminal, and restore the terminal at the end."""

    def resize(*_: Any) -> None:
        size = shutil.get_terminal_size()
        api.exec_resize(made, height=size.lines, width=size.columns)

    before = termios.tcgetattr(sys.stdin)
    previous = signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(sys.stdin, termios.TCSADRAIN)  # what was typed ahead stays
        resize()
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
