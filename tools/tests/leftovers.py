"""What runs of the kit have left, or still have: containers, volumes, processes, folders."""

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import docker
import psutil

T = TypeVar("T")
MARK = "PGDST_TEST_MARK"  # every process of a run inherits it, so a run's processes can be told from another's
WITHIN_SECONDS = 2.0
REACHED_SECONDS = 120  # until a run has come to a stage: long, as nothing is said of how fast a busy machine is


@dataclass
class Leftovers:
    """The leavings of one run: its processes by `mark`, its containers by `checkout`, its folders in `scratch`."""

    mark: str
    checkout: str
    scratch: Path
    client: docker.DockerClient
    volumes: set[str] = field(init=False)
    marked: dict[psutil.Process, bool] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()  # the ids of snapshots that several runs share

    def __post_init__(self) -> None:
        """Remember the volumes that are there before."""
        self.volumes = self._volumes()

    def processes(self) -> list[psutil.Process]:
        """Return the run's processes that live, zombies aside."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def containers(self) -> list[str]:
        """Return the names of this checkout's containers, in any state."""
        wanted = {"label": f"pgdst.checkout={self.checkout}"}
        return [name for one in self.client.api.containers(all=True, filters=wanted) for name in one["Names"]]

    def snapshots(self) -> list[str]:
        """Return the ids of the snapshots that the run has made for this checkout, which are kept on purpose."""
        wanted = {"label": f"pgdst.snapshot.checkout={self.checkout}"}
        return [image["Id"] for image in self.client.api.images(filters=wanted) if image["Id"] not in self.keeps]

    def remove_snapshots(self) -> None:
        """Remove them, whatever their names."""
        for image in self.snapshots():
            with contextlib.suppress(docker.errors.APIError):  # pruned by another test's run
                self.client.api.remove_image(image, force=True, noprune=True)

    def left(self) -> dict[str, list[str]]:
        """Return everything that is still there, by kind; empty when nothing is."""
        found = {
            "containers": self.containers(),
            "volumes": sorted(self._volumes() - self.volumes - self._mounted()),
            "processes": [" ".join(command_line(process)) for process in self.processes()],
            "folders": [str(path) for path in self.scratch.glob("pgdst-*")],
        }
        return {kind: things for kind, things in found.items() if things}

    def left_after(self, seconds: float = WITHIN_SECONDS) -> dict[str, list[str]]:
        """Return what is still there when nothing changes any more, or at the latest after so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.03)
        return left

    def _volumes(self) -> set[str]:
        return {volume["Name"] for volume in self.client.api.volumes()["Volumes"] or ()}

    def _mounted(self) -> set[str]:
        """Return the volumes of containers that there are: they are named themselves, or are another test's."""
        mounts = (mount for one in self.client.api.containers(all=True) for mount in one["Mounts"])
        return {mount["Name"] for mount in mounts if mount["Type"] == "volume"}

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process not in self.marked:  # a process keeps the mark that it was born with; reading it is slow
                environment = process.environ()
                if not environment:  # for a moment, while it begins to execute another program
                    return False
                self.marked[process] = environment.get(MARK) == self.mark
            return self.marked[process] and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def command_line(process: psutil.Process) -> list[str]:
    """Return the arguments of a process, or nothing where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def find(processes: list[psutil.Process], script: str) -> Iterator[psutil.Process]:
    """Yield those processes that execute this script or program."""
    for process in processes:
        names = [os.path.basename(argument) for argument in command_line(process)[:5]]  # noqa: PTH119  # not a path
        if script in names:
            yield process


def eventually(ask: Callable[[], T], seconds: float, what: str, pause: float = 0.03) -> T:
    """Return the first true answer, asked for every `pause` seconds; fail where there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)
    return answer


def read_until(terminal: int, prompt: bytes) -> bytes:
    """Return what the terminal shows up to a prompt, its end, or half a minute of silence."""
    screen = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while prompt not in screen and select.select([terminal], [], [], 30)[0]:
            screen += os.read(terminal, 4096)
    return screen
