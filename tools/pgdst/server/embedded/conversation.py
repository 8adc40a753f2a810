"""A shell program that runs beside the processes of an embedded server."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pgdst.server.address import Server
from pgdst.server.embedded import unprivileged


@contextmanager
def conversation(server: Server, program: str) -> Iterator[Callable[[bytes], bytes]]:  # noqa: ARG001  # they are all here
    """Run a program of sh on this machine; yield what sends it a line and returns the line that it answers.

    It runs in a session of its own, so that a signal to this process's group does not end it; and as the server's
    user, who can signal nobody else's processes, whatever ids the server may name.
    """
    options = {**unprivileged.options(), "stdin": subprocess.PIPE}
    shell: subprocess.Popen[bytes]
    with subprocess.Popen(["/bin/sh", "-c", program], stdout=subprocess.PIPE, **options) as shell:
        requests, answers = shell.stdin, shell.stdout
        assert requests is not None
        assert answers is not None

        def ask(request: bytes) -> bytes:
            requests.write(request)
            requests.flush()
            return answers.readline()

        yield ask
