"""Recording what a migration run reads, by Python's audit events. A hook cannot be removed: use a process of its own.

Every file is hashed just before it is opened. If it is edited in between, the hash is that of the older file, and the
manifest is not current. So a current manifest always has the files that were read.

Not recorded: files that are probed but absent; variables read through a copy of os.environ; the clock; the network;
what a subprocess reads.
"""

import importlib.util
import os
import site
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pgdst.installation import PACKAGE
from pgdst.manifest import Manifest, file_state, folder_state, variable_state
from pgdst.project import Project
from pgdst.server.address import Server, libpq_variables

SYSTEM = ("/proc", "/dev/fd", "/sys")


class Recorder:
    """What was read so far. Packages and Python itself are not recorded: their versions are part of the key."""

    def __init__(self, server: Server, given: Iterable[str]) -> None:
        self.files: dict[str, str] = {}
        self.folders: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.not_ours = tuple(os.path.join(folder, "") for folder in _installed())  # noqa: PTH118  # with its separator
        self.given = {*server.environment(), *libpq_variables(), *given}
        self.is_on = False
        self._noting = threading.local()  # hashing opens a file, and asks for variables; other threads go on

    def manifest(self, head: str) -> Manifest:
        """Return the manifest of what was recorded."""
        return Manifest(head, self.files, self.folders, self.variables)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note the event: called by the interpreter for all of them."""
        if event not in ("open", "os.listdir", "os.scandir", "import"):
            return
        with self.noting() as wanted:
            if not wanted:
                return
            if event == "open":
                self._note(self.files, arguments[0], file_state, is_read=_reads(arguments))
            elif event == "import":
                self._note(self.files, arguments[1], file_state, is_read=True)
            else:
                self._note(self.folders, "." if arguments[0] is None else arguments[0], folder_state, is_read=True)

    @contextmanager
    def noting(self) -> Iterator[bool]:
        """Yield whether this thread's last access is to be recorded: not the recorder's own."""
        wanted = self.is_on and not getattr(self._noting, "busy", False)
        if wanted:
            self._noting.busy = True
        try:
            yield wanted
        finally:
            if wanted:
                self._noting.busy = False

    def _note(self, noted: dict[str, str], path: Any, state: Callable[[str], str], *, is_read: bool) -> None:
        if not is_read or not isinstance(path, (str, bytes, os.PathLike)):  # a descriptor was opened by its path before
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # as it was named: a link may lead elsewhere later
        if name.endswith(".pyc"):
            name = _source(name)
        if name in noted or os.path.realpath(name).startswith(self.not_ours):
            return
        if not name.startswith("/dev/") or Path(name).is_file() or Path(name).is_dir():  # /dev/shm may have a checkout
            noted[name] = state(name)

    def note_variable(self, name: str, frame: FrameType | None) -> None:
        """Record a variable that the backend's own code asks for by name."""
        while frame is not None and _is_of_environment(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None or name in self.given or name in self.variables:
            return
        if not os.path.realpath(frame.f_code.co_filename).startswith(self.not_ours):
            self.variables[name] = variable_state(name)


def recorded_upgrade(project: Project, server: Server) -> Manifest:
    """Migrate the server's database and return what was read; only the modules of the kit are imported before.

    Raises: as migrations.upgrade does.
    """
    from pgdst.database.migrations import upgrade

    with recorded(server, project.variables) as recorder:
        head = upgrade(project, server)
    return recorder.manifest(head)


@contextmanager
def recorded(server: Server, given: Iterable[str] = ()) -> Iterator[Recorder]:
    """Record what is read in the block, except the variables that the kit sets.

    Variables that are read from a copy of the environment are not recorded.
    """
    recorder = Recorder(server, given)
    sys.addaudithook(recorder.hook)
    restore = _watch_environment(recorder)
    recorder.is_on = True
    try:
        yield recorder
    finally:
        recorder.is_on = False
        restore()


def _watch_environment(recorder: Recorder) -> Callable[[], None]:
    """Have `os.environ` tell the recorder which names it is asked for; return a function that ends that."""
    kind = type(os.environ)
    get, iterate = kind.__getitem__, kind.__iter__
    yielded: deque[str] = deque()  # by the last iteration: whoever reads them in this order copies, and asks nothing

    def noting_get(self: Any, name: str) -> str:
        if yielded and name == yielded[0]:
            yielded.popleft()
        else:
            with recorder.noting() as wanted:
                if wanted:
                    yielded.clear()
                    recorder.note_variable(name, sys._getframe(1))
        return get(self, name)

    def noting_iterate(self: Any) -> Iterator[str]:
        yielded.clear()
        for name in iterate(self):
            yielded.append(name)
            yield name

    kind.__getitem__, kind.__iter__ = noting_get, noting_iterate  # type: ignore[method-assign]  # it is watched

    def restore() -> None:
        kind.__getitem__, kind.__iter__ = get, iterate  # type: ignore[method-assign]  # as it was

    return restore


def _installed() -> set[str]:
    """Return the folders of Python, of installed packages, of the kit itself, and of what is no file at all."""
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    folders |= {site.getusersitepackages(), str(PACKAGE.parent), *SYSTEM}
    return {os.path.realpath(folder) for folder in folders} | set(SYSTEM)


def _reads(arguments: tuple[Any, ...]) -> bool:
    """Tell whether an `open` reads: it has a mode, or the flags of os.open."""
    _, mode, flags = arguments
    if isinstance(mode, str):
        return not set("wax") & set(mode)
    return isinstance(flags, int) and (flags & (os.O_WRONLY | os.O_CREAT)) == 0


def _source(compiled: str) -> str:
    """Return the source of a compiled module, or the module itself where it has none."""
    try:
        source = importlib.util.source_from_cache(compiled)
    except ValueError:
        return compiled
    return source if Path(source).exists() else compiled


def _is_of_environment(file: str) -> bool:
    return file in (__file__, os.__file__) or file.startswith("<frozen") or Path(file).name == "_collections_abc.py"
