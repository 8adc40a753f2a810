"""A service in a process of its own, on a free port of this machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BACKEND: Final = Path(__file__).parents[2]
STOP_SECONDS: Final = 20
LOG_CHARACTERS: Final = 10_000


class ServiceError(Exception):
    """The service ended in another way than by being asked to."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process of the fuzz, which imports what this one can."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    made_here = {
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",  # a set has one order in every run
        "HYPOTHESIS_STORAGE_DIRECTORY": str(BACKEND / ".hypothesis"),  # Unicode's tables, seconds to make, are kept
        "no_proxy": "127.0.0.1",
    }
    return os.environ | made_here | more


@contextmanager
def serving(factory: str, log: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the base URL of a service that `factory` makes, and stop it afterwards.

    The socket listens before the process starts: there is no port that another could take, and whoever connects is
    answered as soon as the service is there. What it says goes to `log`.

    Raises: ServiceError, when it did not end as it should. What it said last is in the message, and, as a note, with
    whatever else is raised.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as said:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.served", factory, str(listening.fileno())],
            cwd=BACKEND,
            env=environment(**variables),
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            pass_fds=[listening.fileno()],
        )
    try:
        yield f"http://127.0.0.1:{port}"
    except Exception as error:
        error.add_note(f"The service said:\n{last_words(log)}")
        raise
    finally:
        status = _stop(process)
    if status != 0:
        raise ServiceError(f"The service ended with status {status}. It said:\n{last_words(log)}")


def last_words(log: Path) -> str:
    """Return the end of what a service said."""
    return log.read_text(errors="replace")[-LOG_CHARACTERS:]


def _stop(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
