"""The parent of an embedded Postgres, a process of the engine's: `main()` with the arguments DIRECTORY END CHARGE.

Runs the commands of DIRECTORY/plan.json one after the other (initdb, then postgres, then tar where the data are to be
packed), as the plan's user. END is `lease:DESCRIPTOR`, which reads end of file when the last process of the run has
ended, or `seconds:NUMBER`. At the end, or on SIGTERM, it stops the command and removes the folders of the plan. On
SIGUSR1 it has Postgres shut down cleanly, and goes on to the next command. A command that fails is written to
DIRECTORY/exit; the folders then stay until the end, so that the log can be read. The descriptor CHARGE has
DIRECTORY/supervisor locked for as long as this process lives, which writes its pid there.

DIRECTORY and the files that are read and written here belong to this process's user. The plan's user, who may be a
less privileged one, writes to DIRECTORY/data, where this process reads nothing.
It imports the standard library alone: it must not depend on what it outlives.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

# Postgres kills its own processes 5 s after SIGQUIT, stopped ones too. Killed before, it would leave its shared memory.
STOP_SECONDS = 8
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel shut Postgres down (SIGQUIT) when this supervisor is killed; Linux only."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Supervisor:
    """One server's commands and its end."""

    def __init__(self, directory: Path, end: str, charge: int) -> None:
        self.directory = directory
        self.plan = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
        kind, value = end.split(":")
        self.lease = int(value) if kind == "lease" else None
        self.deadline = time.monotonic() + int(value) if kind == "seconds" else None
        self.terminated = self.shuts_down = False
        self.wake, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        signal.set_wakeup_fd(self.waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "terminated", True))
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "shuts_down", True))
        os.umask(0o077)
        os.pwrite(charge, str(os.getpid()).encode("ascii"), 0)

    def run(self) -> None:
        """Run the commands until the end."""
        with (self.directory / "log").open("ab") as log:
            if all(self.run_one(name, command, log) for name, command in self.plan["commands"].items()):
                self.wait_for(None)
        for folder in self.plan["remove_at_end" if not self.terminated else "remove_at_stop"]:
            # Not shutil's: a folder may be nested more deeply than Python recurses.
            subprocess.run(["/bin/rm", "-rf", "--", folder], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run_one(self, name: str, command: list[str], log: BinaryIO) -> bool:
        """Run one command; return True where the next one may follow."""
        output = self.plan["outputs"].get(name)
        with open(f"{output}.new", "xb") if output else open(os.devnull, "wb") as file:  # noqa: PTH123
            child = self.start(command, file if output else log, log)
            if self.wait_for(child):
                self.stop(child, name)
                return False
        if child.returncode != 0:
            report = json.dumps({"command": name, "code": child.returncode})
            (self.directory / "exit.new").write_text(report, encoding="utf-8")
            (self.directory / "exit.new").rename(self.directory / "exit")
            self.wait_for(None)
            return False
        if output:
            Path(f"{output}.new").rename(output)
        return True

    def start(self, command: list[str], out: BinaryIO, log: BinaryIO) -> "subprocess.Popen[bytes]":
        """Start a command as the plan's user, in this supervisor's session."""
        user, group = self.plan["identity"] or (None, None)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
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
            if child is not None and self.shuts_down:
                self.shuts_down = False
                child.send_signal(signal.SIGINT)
            left = None if self.deadline is None else self.deadline - time.monotonic()
            if left is not None and left <= 0:
                return True
            for ready in select.select(watched, [], [], left)[0]:
                if not os.read(ready, 4096) and ready == self.lease:
                    watched.remove(ready)
                    self.deadline = time.monotonic() + self.kept_seconds()
        return True

    def kept_seconds(self) -> float:
        """Return for how long the server is to be kept after its lease: see lifetime/keeping.py."""
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


def main() -> None:
    """Run the supervisor."""
    Supervisor(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).run()
