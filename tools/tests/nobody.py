"""What a process of `nobody` can do to a server that root has started: `nobody.py ACTION ARGUMENT...`, run as root.

It starts as root because `nobody` need not be able to reach this Python, and drops all rights before it acts.
"""

import contextlib
import json
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

FILES = (
    *("owner", "engine", "keep", "keep.new", "environment", "manifest.json", "lease", "supervisor", "password"),
    *("address.json", "log", "initial-password", "exit", "exit.new", "packed.tar", "packed.tar.new"),
)
DEPTH = 1500  # more than Python recurses


def become_nobody() -> None:
    """Give up all of root's rights."""
    entry = pwd.getpwnam("nobody")
    os.chdir("/")
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def attack(scratch: str, victim: str, ran: str, pid: str) -> None:
    """Without end, replace all that can be replaced in the folders of servers in `scratch`.

    Files become links to the victim's, the plan one that runs a command, and the server's pid that of a process.
    """
    plan = {
        "commands": {"evil": ["/bin/sh", "-c", f"id -u >>{ran}"]},
        "outputs": {},
        "identity": None,
        "environment": {"PATH": "/usr/bin:/bin"},
        "remove_at_end": [victim],
        "remove_at_stop": [victim],
    }
    while True:
        for run in Path(scratch).glob("pgdst-*"):
            for folder in (run, run / "server"):
                if os.access(folder, os.W_OK):
                    replace(folder, "plan.json", json.dumps(plan))
                    for name in FILES:
                        replace(folder, name, None, victim)
                for socket in (folder, folder / "socket"):
                    if os.path.exists(socket / ".s.PGSQL.5432"):  # noqa: PTH110  # false where it is closed. Not before, as Postgres would not start
                        replace(folder / "data", "postmaster.pid", f"{pid}\n")


def replace(folder: Path, name: str, text: str | None, target: str = "") -> None:
    """Put a file, or a link to the target, in the place of what has that name."""
    new = folder / f"evil{os.getpid()}"
    with contextlib.suppress(OSError):
        new.unlink(missing_ok=True)
        if text is None:
            new.symlink_to(target)
        else:
            new.write_text(text)
        new.replace(folder / name)


def read(*folders: str) -> None:
    """Print all that can be read: in the folders, and of this user's other processes."""
    own = [str(one) for one in Path("/proc").iterdir() if one.name.isdecimal() and is_own(one)]
    for folder in (*folders, *own):
        for file in files(folder):
            with contextlib.suppress(OSError):
                if not Path(file).is_fifo():  # which would be waited for
                    sys.stdout.buffer.write(Path(file).read_bytes())


def is_own(process: Path) -> bool:
    """Tell whether it is this user's."""
    try:
        return process.stat().st_uid == os.getuid()
    except OSError:
        return False


def files(folder: str) -> Iterator[str]:
    """Yield a process's environment and arguments, or a folder's files, also where it can't be listed."""
    if folder.startswith("/proc/"):
        yield from (f"{folder}/environ", f"{folder}/cmdline")
        return
    yield from (f"{folder}/{name}" for name in (*FILES, "plan.json"))
    for path, _folders, names in os.walk(folder):
        yield from (f"{path}/{name}" for name in names)


def nest(folder: str) -> None:
    """Make a folder in a folder, many times."""
    os.chdir(folder)
    for _ in range(DEPTH):
        os.mkdir("d")  # noqa: PTH102  # the path is too long
        os.chdir("d")


if __name__ == "__main__":
    become_nobody()
    actions: dict[str, Callable[..., None]] = {"attack": attack, "read": read, "nest": nest}
    actions[sys.argv[1]](*sys.argv[2:])
