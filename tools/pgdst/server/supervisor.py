"""The parent of an embedded Postgres: `python -I -S supervisor.py DIRECTORY END`, started by embedded.py.

Runs the commands of DIRECTORY/plan.json one after the other (initdb, then postgres). END is `lease:DESCRIPTOR`, which
reads end of file when the last process of the run has ended, or `seconds:NUMBER`. At the end, or on SIGTERM, it stops
the command and removes the folders of the plan. A command that fails is written to DIRECTORY/exit; the folders then
stay until the end, so that the log can be read. Only the standard library: it must not depend on what it outlives.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

STOP_SECONDS = 5
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel shut Postgres down (SIGQUIT) when this supervisor is killed; Linux only."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Supervisor:
    """One server's commands and its end."""

    def __init__(self, directory: Path, end: str) -> None:
        self.directory = directory
        self.plan = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
        kind, value = end.split(":")
        self.lease = int(value) if kind == "lease" else None
        self.deadline = time.monotonic() + int(value) if kind == "seconds" else None
        self.terminated = False
        self.wake, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        signal.set_wakeup_fd(self.waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "terminated", True))

    def run(self) -> None:
        """Run the commands until the end."""
        with (self.directory / "log").open("ab") as log:
            for name, command in self.plan["commands"].items():
                child = self.start(command, log)
                ended = self.wait_for(child)
                if ended:
                    self.stop(child, name)
                    break
                if child.returncode != 0:
                    report = json.dumps({"command": name, "code": child.returncode})
                    (self.directory / "exit.new").write_text(report, encoding="utf-8")
                    (self.directory / "exit.new").rename(self.directory / "exit")
                    self.wait_for(None)
                    break
        for folder in self.plan["remove_at_end" if not self.terminated else "remove_at_stop"]:
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, command: list[str], log: BinaryIO) -> "subprocess.Popen[bytes]":
        """Start a command as the plan's user, in this supervisor's session."""
        user, group = self.plan["identity"] or (None, None)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.plan["environment"],
            cwd="/",
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # there are no threads
        )

    def wait_for(self, child: "subprocess.Popen[bytes] | None") -> bool:
        """Return True at the end, False when the child has ended before."""
        watched = [self.wake] if self.lease is None else [self.wake, self.lease]
        while not self.terminated:
            if child is not None and child.poll() is not None:
                return False
            left = None if self.deadline is None else self.deadline - time.monotonic()
            if left is not None and left <= 0:
                return True
            for ready in select.select(watched, [], [], left)[0]:
                if not os.read(ready, 4096) and ready == self.lease:
                    watched.remove(ready)
                    self.deadline = time.monotonic() + self.kept_seconds()
        return True

    def kept_seconds(self) -> float:
        """Return for how long the server is to be kept after its lease: see lease.keep."""
        try:
            until: float = json.loads((self.directory.parent / "keep").read_text(encoding="utf-8"))["until"]
        except FileNotFoundError:
            return 0
        return until - time.time()

    def stop(self, child: "subprocess.Popen[bytes]", name: str) -> None:
        """Stop the command and wait until it has gone: immediate shutdown for Postgres, whose data is thrown away."""
        child.send_signal(signal.SIGQUIT if name == "postgres" else signal.SIGTERM)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


Supervisor(Path(sys.argv[1]), sys.argv[2]).run()
