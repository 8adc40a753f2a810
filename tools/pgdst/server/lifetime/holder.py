"""The holder of a lease: `python -I -S holder.py LEASE STREAM DIRECTORY`, started by lease.hold().

Keeps the descriptor STREAM (a container's attached standard input) open until LEASE reads end of file, which is when
the last process of the run has ended. Then it removes the run's DIRECTORY and exits, by which STREAM is closed and the
container stops itself. Only the standard library, and little of it: it starts within milliseconds and needs no room.
"""

import os
import select
import shutil
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
    shutil.rmtree(directory, ignore_errors=True)


main()
