"""Who is `nobody` can neither read the password of a server that root has started nor have root do anything for him.

Postgres runs as `nobody` then, as it refuses to run as root. Where the tests are run by an ordinary user there is no
less privileged one, so most of this can be seen by root only.
"""

import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import nobody
import psutil
import psycopg
import pytest
from conftest import KIT, Sandbox, leased_server
from leftovers import REACHED_SECONDS
from pgdst import project
from pgdst.manifest import Manifest
from pgdst.server.address import Server
from pgdst.server.embedded import unprivileged, wheel
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.server.embedded.snapshot_folder import ARCHIVE, Found
from pgdst.server.processes import processes_of

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a less privileged user run its servers: run as root")
SHELL = KIT / "tools" / "with_postgres.sh"


@pytest.fixture
def server() -> Iterator[Server]:
    with leased_server(EmbeddedEngine()) as found:
        yield found


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that nobody can reach, as tmp_path is closed to others."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def act(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start nobody.py."""
    command = [sys.executable, "-I", "-S", nobody.__file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)


def as_nobody() -> dict[str, int | list[int]]:
    """Return what subprocess is to be told for a process of nobody's."""
    user, group = unprivileged.identity() or (-1, -1)
    return {"user": user, "group": group, "extra_groups": []}


@contextmanager
def running(sandbox: Sandbox, *options: str) -> Iterator[tuple[Path, str]]:
    """Have a run; yield its server's folder and its password. It ends with status 0 and leaves nothing."""
    said = 'echo "${PGDST_EVIDENCE%/*}/server"; echo "$PGPASSWORD"; read -r _'
    command = [str(SHELL), "--engine", "embedded", *options, "--", "sh", "-c", said]
    environment = {**os.environ, **sandbox.places()}
    with subprocess.Popen(
        command, cwd=sandbox.root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        yield Path(line(run.stdout)), line(run.stdout)
        run.communicate("go on\n", timeout=REACHED_SECONDS)
    assert 0 == run.returncode
    assert {} == sandbox.leftovers.left_after()


@contextmanager
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of root's that has nothing to do with any server; it is gone at the end, whatever became of it."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def line(stream: IO[str] | None) -> str:
    """Return the next line."""
    assert stream is not None
    return stream.readline().rstrip("\n")


@ROOT
def test_what_nobody_replaces_is_not_run_read_overwritten_given_away_or_signalled(cold_sandbox: Sandbox) -> None:
    """As a snapshot is made, a run started from it, and a database of db_up.py: while nobody replaces all he can."""
    victim, ran = cold_sandbox.scratch / "victim", cold_sandbox.scratch / "open" / "ran"
    victim.write_text("precious")
    victim.chmod(0o600)
    ran.parent.mkdir()
    ran.parent.chmod(0o777)
    with bystander() as process:
        attacker = act("attack", cold_sandbox.scratch, victim, ran, str(process.pid))
        try:
            done = cold_sandbox.with_postgres("--engine", "embedded", "--", "true")
            up = cold_sandbox.script("db_up.py", PGDST_ENGINE="embedded")
            down = cold_sandbox.script("db_down.py", PGDST_ENGINE="embedded")
            assert attacker.poll() is None
            assert process.poll() is None
        finally:
            attacker.kill()
            attacker.communicate()
    found = victim.stat()
    assert ("precious", 0, 0o600) == (victim.read_text(), found.st_uid, stat.S_IMODE(found.st_mode))
    assert not ran.exists()
    # He can break what is his own, the data: a file that changes while it is packed fails the run, in an error.
    for one in (done, up, down):
        assert 0 == one.returncode or "Error: The data directory could not be packed" in one.stderr, one.stderr
    assert {} == cold_sandbox.leftovers.left_after()


@ROOT
@pytest.mark.parametrize("snapshot", ["auto", pytest.param("off", marks=pytest.mark.long)])
def test_nobody_does_not_find_the_password(cold_sandbox: Sandbox, snapshot: str) -> None:
    """Neither in a file nor in the environment or the arguments of a process of his."""
    with running(cold_sandbox, "--snapshot", snapshot) as (folder, password):
        found, _ = act("read", folder.parent, folder, folder / "data", folder / "socket").communicate()
    assert b"scram-sha-256" in found  # it has read pg_hba.conf
    assert password.encode() not in found


@ROOT
def test_folders_nested_without_end_are_removed(cold_sandbox: Sandbox) -> None:
    """Python's own removal ends in a RecursionError."""
    with running(cold_sandbox, "--snapshot", "off") as (folder, _password):
        assert b"" == act("nest", folder / "data").communicate()[0]
        assert (folder / "data" / "d").exists()


@ROOT
def test_who_calls_himself_postgres_is_not_signalled_and_holds_nothing_up(cold_sandbox: Sandbox) -> None:
    told = "trap 'echo told' TERM QUIT INT; echo ready; while :; do sleep 0.1; done"
    with ExitStack() as stack:
        with running(cold_sandbox, "--snapshot", "off") as (folder, _password):
            pretender = subprocess.Popen(
                ["postgres", "-c", told, "-D", str(folder / "data")],
                executable="/bin/sh",
                stdout=subprocess.PIPE,
                text=True,
                **as_nobody(),  # type: ignore[call-overload]
            )
            stack.enter_context(pretender)
            stack.callback(pretender.kill)
            assert "ready" == line(pretender.stdout)
        assert pretender.poll() is None
        pretender.kill()
        assert "" == line(pretender.stdout)


@ROOT
def test_signals_for_a_server_reach_nobody_elses_processes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ids the server may name; and the process that sends them knows nothing of root's environment."""
    monkeypatch.setenv("A_SECRET", "of root's")
    with bystander() as process:
        before = set(psutil.Process().children())
        with processes_of(server) as processes:
            [shell] = set(psutil.Process().children()) - before
            assert (os.getuid(), "nobody") == (0, shell.username())
            assert "A_SECRET" not in shell.environ()
            processes.stop(process.pid)
            assert psutil.STATUS_STOPPED != psutil.Process(process.pid).status()
            processes.kill(process.pid)
            assert process.poll() is None


@ROOT
def test_a_snapshot_is_unpacked_with_nobodys_rights(home: Path) -> None:
    """Whatever its archive says of owners: no file of root's comes out of it, nor one that gives root's rights."""
    home.chmod(0o755)
    with tarfile.open(home / ARCHIVE, "w") as archive:
        for name, mode in {"./PG_VERSION": 0o600, "./evil": 0o4755}.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid = mode, 0, 0
            archive.addfile(entry, io.BytesIO())
    data = home / "data"
    data.mkdir(mode=0o700)
    unprivileged.give(data)
    Found(home, "", Manifest("", {}, {}, {})).unpack(data)
    assert {"PG_VERSION", "evil"} == {one.name for one in data.iterdir()}
    assert {unprivileged.identity()} == {(one.stat().st_uid, one.stat().st_gid) for one in data.iterdir()}


@ROOT
def test_a_folder_that_somebody_has_made_before_is_left_alone(sandbox: Sandbox) -> None:
    """One error names it; it is neither used nor removed, and nothing in it is read."""
    sandbox.scratch.chmod(0o1777)
    checkout = project.load(start=sandbox.root).checkout
    squatted = sandbox.scratch / f"pgdst-dev-0-{checkout}"
    squatted.mkdir()
    (squatted / "address.json").write_text("no JSON")
    os.chown(squatted, *(unprivileged.identity() or ()))
    up = sandbox.script("db_up.py", PGDST_ENGINE="embedded")
    assert (1, "") == (up.returncode, up.stdout)
    assert f"Error: {squatted} is there already, and belongs to somebody else: it is left alone." in up.stderr
    assert 1 == sandbox.script("db_url.py", PGDST_ENGINE="embedded").returncode
    assert "No database of this checkout was up.\n" == sandbox.script("db_down.py", PGDST_ENGINE="embedded").stderr
    assert ["address.json"] == [one.name for one in squatted.iterdir()]
    shutil.rmtree(squatted)


@ROOT
def test_a_link_in_its_place_is_not_followed(sandbox: Sandbox) -> None:
    """Not even to what belongs to root."""
    sandbox.scratch.chmod(0o1777)
    theirs = sandbox.scratch / "theirs"
    theirs.mkdir()
    (theirs / "address.json").write_text("no JSON")
    link = sandbox.scratch / f"pgdst-dev-0-{project.load(start=sandbox.root).checkout}"
    link.symlink_to(theirs)
    up = sandbox.script("db_up.py", PGDST_ENGINE="embedded")
    assert f"Error: {link} is there already, and belongs to somebody else" in up.stderr
    assert 0 == sandbox.script("db_down.py", PGDST_ENGINE="embedded").returncode
    assert ["address.json"] == [one.name for one in theirs.iterdir()]
    link.unlink()


@ROOT
@pytest.mark.parametrize("mode", [0o777, pytest.param(0o755, marks=pytest.mark.long)])
def test_root_does_not_use_a_folder_that_others_can_change(sandbox: Sandbox, mode: int) -> None:
    """Neither for servers nor for snapshots: everybody's without a sticky bit, or another user's."""
    theirs = sandbox.scratch / "theirs"
    theirs.mkdir()
    theirs.chmod(mode)
    if mode == 0o755:
        os.chown(theirs, *(unprivileged.identity() or ()))
    for variable, cure in {"TMPDIR": "TMPDIR=/tmp", "XDG_CACHE_HOME": "SNAPSHOT=off"}.items():
        done = sandbox.with_postgres("--engine", "embedded", "--", "true", **{variable: str(theirs)})
        assert 1 == done.returncode
        [error] = [one for one in done.stderr.splitlines() if one.startswith("Error: ")]
        assert f"{theirs} can be changed by others than root" in error
        assert cure in error
        assert [] == list(theirs.iterdir())


def test_nobody_else_can_write_to_a_run_whatever_the_umask(sandbox: Sandbox) -> None:
    """Nor read what is in its files."""
    listed = 'find "${PGDST_EVIDENCE%/*}" "(" -perm /022 -o "(" -type f -o -type p ")" -perm /044 ")" ! -type s'
    shell = f'umask 0; exec "{SHELL}" --engine embedded -- sh -c {listed!r}'
    done = sandbox.run("sh", "-c", shell)
    assert (0, "") == (done.returncode, done.stdout), done.stderr


def test_nobody_is_let_in_without_the_password(server: Server) -> None:
    """Over no socket and from no address."""
    with server.connect() as connection:
        methods = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
    assert [("scram-sha-256",)] == methods
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(host=server.host, port=server.port, user=server.user, dbname=server.database)


@ROOT
@pytest.mark.parametrize("mode", ["u=rwX,go=", "ugo=rwX"])
def test_a_wheel_out_of_reach_is_copied_for_nobody_to_run_and_not_to_write(
    mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    """Whatever modes it was unpacked with; tmp_path is closed to others."""
    package = wheel.find()
    for part in (package.name, f"{package.name}.libs"):
        subprocess.run(["cp", "-R", package.with_name(part), tmp_path / part], check=True)
    subprocess.run(["chmod", "-R", mode, *tmp_path.iterdir()], check=True)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(wheel, "find", lambda: tmp_path / package.name)
    assert not wheel.is_executable(wheel.program("postgres"))
    made = wheel.programs_for_the_server(home / "postgres")
    assert str(made).startswith(str(home))
    assert wheel.is_executable(made / "postgres")
    assert wheel.is_executable(made / "initdb")
    listed = ["find", home, "-writable"]
    found = subprocess.run(listed, capture_output=True, text=True, check=True, **as_nobody())  # type: ignore[call-overload]
    assert "" == found.stdout
