"""Processes of a run that outlive the one that starts them: the holder of a container, the embedded supervisor."""

import subprocess
from collections import defaultdict
from typing import Final

from pgdst.installation import alone

RELEASE_SECONDS: Final = 10
_STARTED: Final[defaultdict[str, list["subprocess.Popen[bytes]"]]] = defaultdict(list)  # by the run's id


class _Detached(subprocess.Popen[bytes]):
    """A process that is meant to run on when this one ends."""

    def __del__(self) -> None:
        """Do not warn that it does."""


def start_detached(
    module: str, *arguments: str, run_id: str, descriptors: tuple[int, ...] = ()
) -> "subprocess.Popen[bytes]":
    """Start `main()` of one of our modules for a run, in a session of its own, out of the terminal's reach.

    It inherits these descriptors only, so not the run's end of a lease. It can import the standard library and the kit
    alone.
    """
    process = _Detached(
        [*alone(module), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
        cwd="/",
    )
    _STARTED[run_id].append(process)
    return process


def wait_for_end(run_id: str) -> None:
    """Wait until the detached processes of a run that this process started have ended.

    Raises: subprocess.TimeoutExpired after 10 s.
    """
    for process in _STARTED.pop(run_id, []):
        process.wait(RELEASE_SECONDS)
