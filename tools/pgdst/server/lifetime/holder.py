"""The holder of a lease, a process that lease.hold() starts: `main()` with the arguments LEASE STREAM DIRECTORY.

It keeps the descriptor STREAM (a container's attached standard input) open until LEASE reads end of file, which is
when the last process of the run has ended. Then it removes the run's DIRECTORY and exits, by which STREAM is closed
and the container stops itself. It imports little, so that it starts within milliseconds and needs no room.
"""

import os
import select
import sys

POLL_SECONDS = 0.5


def main() -> None:
    """Wait for the end of the lease."""
    lease, stream, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    waiting = [lease, stream]
    while lease in waiting:
        # Once the container is gone, what is left to wait for is the directory, which the run's shell removes too.
        if stream not in waiting and not os.path.exists(directory):  # noqa: PTH110  # pathlib takes long to import
            return
        for ready in select.select(waiting, [], [], None if stream in waiting else POLL_SECONDS)[0]:
            try:
                ended = not os.read(ready, 4096)
            except OSError:
                ended = True
            if ended:
                waiting.remove(ready)
    _remove(directory)


def _remove(directory: str) -> None:
    """Remove a folder of files, as a run of Docker's has one; the run's shell may do so at this moment, too."""
    for remove, path in [*((os.remove, file) for file in _files(directory)), (os.rmdir, directory)]:
        try:
            remove(path)
        except OSError:
            continue


def _files(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory)]  # noqa: PTH208  # as above
    except OSError:
        return []
