"""with_postgres.sh: what the command gets, which status comes out, and what signals do at every stage."""

import fcntl
import os
import pty
import signal
import socket
import subprocess
import termios
import threading
import time
from itertools import product

import pytest
import tiny_backend
from conftest import DEADLINE_SECONDS, ENGINES, KIT, Sandbox
from leftovers import REACHED_SECONDS, eventually, find, read_until

SCRIPT = KIT / "tools" / "with_postgres.sh"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_command_finds_the_migrated_database_in_every_usual_variable(sandbox: Sandbox, engine: str) -> None:
    """PGDST_DATABASE_URL, DATABASE_URL and libpq's variables lead to the same migrated database."""
    program = (
        "import os, psycopg, sqlalchemy; "
        "a = psycopg.connect(); a.execute('INSERT INTO things VALUES (7)'); a.commit(); "
        "urls = {os.environ['DATABASE_URL'], os.environ['PGDST_DATABASE_URL']}; assert len(urls) == 1; "
        "e = sqlalchemy.create_engine(urls.pop()); print(e.connect().exec_driver_sql('SELECT id FROM things').scalar())"
    )
    done = sandbox.with_postgres("--engine", engine, "--", KIT / ".venv/bin/python", "-c", program)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_the_status_of_the_command_comes_out(sandbox: Sandbox, engine: str) -> None:
    """Whatever the command ends with, with_postgres.sh ends with."""
    assert sandbox.with_postgres("--engine", engine, "--", "sh", "-c", "exit 42").returncode == 42


def test_the_command_keeps_standard_input_and_output(sandbox: Sandbox) -> None:
    """Stdin reaches the command, and stdout holds nothing but what it prints."""
    process = subprocess.run(
        [str(SCRIPT), "--engine", "embedded", "--", "cat"], input="hello", capture_output=True, text=True,
        cwd=sandbox.root, env={**os.environ, **sandbox.places()}, timeout=DEADLINE_SECONDS, check=True,
    )  # fmt: skip
    assert process.stdout == "hello"


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_a_database_url_in_the_shell_sees_no_connection(sandbox: Sandbox, engine: str) -> None:
    """Another server that DATABASE_URL and libpq's variables name is never connected to."""
    met: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=_accept, args=(other, met), daemon=True).start()
        port = str(other.getsockname()[1])
        elsewhere = f"postgresql://u:p@127.0.0.1:{port}/production"
        done = sandbox.with_postgres(
            "--engine", engine, "--", KIT / ".venv/bin/python", KIT / "tools/run_simulation.py",
            DATABASE_URL=elsewhere, PGHOSTADDR="127.0.0.1", PGHOST="127.0.0.1", PGPORT=port, PGSSLMODE="require",
            PGOPTIONS="-c search_path=nowhere", PGSERVICE="production", TINY_SECONDS="0.1",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert met == []


def _accept(listener: socket.socket, met: list[object]) -> None:
    try:
        while True:
            met.append(listener.accept())
    except OSError:
        return


SIGNALS = {
    "INT": ([signal.SIGINT], 130),
    "INT twice": ([signal.SIGINT, signal.SIGINT], 130),
    "TERM": ([signal.SIGTERM], 143),
    "HUP": ([signal.SIGHUP], 129),
}


# Most take a quarter of a minute; what is left to `make test` is one of each engine.
IN_EACH_RUN = [("sleep", "group"), ("db_up.py", "shell")]
MOMENTS = [
    pytest.param(stage, to, marks=() if (stage, to) in IN_EACH_RUN else pytest.mark.long)
    for stage, to in product(["db_up.py", "migrate", "sleep", "db_down.py"], ["group", "shell"])
]


@pytest.mark.parametrize(("stage", "to"), MOMENTS)
def test_a_signal_at_any_stage_cleans_up_once(sandbox: Sandbox, cold_sandbox: Sandbox, stage: str, to: str) -> None:
    """A signal, to the whole group as a terminal sends it or to the shell alone, removes everything.

    During the removal itself it is ignored, and the command's status comes out.
    """
    for signals, status in SIGNALS.values():
        interrupt(cold_sandbox if stage in ("db_up.py", "migrate") else sandbox, stage, to, signals, status)


def interrupt(sandbox: Sandbox, stage: str, to: str, signals: list[signal.Signals], status: int) -> None:
    """Run a command, send the signals once the run is at this stage, and look at what comes out."""
    engine = "docker" if to == "group" else "embedded"
    process = sandbox.start(SCRIPT, "--engine", engine, "--", "sleep", "0.2" if stage == "db_down.py" else "60")
    eventually(lambda: list(find(sandbox.leftovers.processes(), stage)), REACHED_SECONDS, f"the stage {stage}")
    for number in signals:
        os.killpg(process.pid, number) if to == "group" else os.kill(process.pid, number)
    _, talk = process.communicate(timeout=30)
    assert (0 if stage == "db_down.py" else status) == process.returncode, talk
    assert "could not be removed" not in talk
    assert {} == sandbox.leftovers.left_after()


def test_wrong_usage_has_status_2_and_starts_nothing(sandbox: Sandbox) -> None:
    """Without a command the usage is shown."""
    done = sandbox.with_postgres("--engine", "docker")
    assert done.returncode == 2
    assert "Usage" in done.stderr


def test_an_unknown_option_has_status_2(sandbox: Sandbox) -> None:
    """An option that db_up.py does not know ends the run before anything is started."""
    done = sandbox.with_postgres("--no-such-option", "--", "true")
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_help_shows_an_example(sandbox: Sandbox) -> None:
    """--help explains itself with an example, on stdout."""
    done = sandbox.with_postgres("--help")
    assert done.returncode == 0
    assert "with_postgres.sh --engine embedded -- " in done.stdout


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | true"])
def test_standard_streams_may_be_closed(sandbox: Sandbox, closed: str) -> None:
    """The next file that is opened does not take the place of a closed stream."""
    done = sandbox.run("bash", "-c", f'set -o pipefail; "{SCRIPT}" --engine embedded -- true {closed}')
    assert 0 == done.returncode


@pytest.mark.long
def test_ctrl_c_at_a_terminal_is_the_commands_to_answer(sandbox: Sandbox) -> None:
    """Psql and its like go on after Ctrl-C; the run ends when they end, with their status."""
    program = (
        "import signal, time; signal.signal(signal.SIGINT, lambda *_: print('answered', flush=True)); "
        "print('ready', flush=True); time.sleep(8); print('done')"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "--engine", "embedded", "--", str(KIT / ".venv/bin/python"), "-c", program],
        cwd=sandbox.root, env={**os.environ, **sandbox.places()}, stdin=theirs, stdout=theirs,
        stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    assert b"ready" in read_until(ours, b"ready")
    os.write(ours, b"\x03")
    screen = read_until(ours, b"done")
    assert b"answered" in screen
    assert b"done" in screen
    assert 0 == process.wait(20)
    os.close(ours)


def test_a_cdpath_leads_no_script_astray(sandbox: Sandbox) -> None:
    """An exported CDPATH makes `cd` look elsewhere first: nothing there may be touched."""
    other = sandbox.root / "other"
    (other / "tools").mkdir(parents=True)
    (other / ".venv").mkdir()
    copy = tiny_backend.copy_kit(sandbox.root / "copy")
    inside = sandbox.inside(copy)
    assert 0 == inside.run("tools/with_postgres.sh", "--engine", "embedded", "--", "true", CDPATH=str(other)).returncode
    (copy / ".venv").unlink()
    assert 1 == inside.run("tools/venv.sh", "false", CDPATH=str(other)).returncode
    assert (other / ".venv").exists()


def test_a_temporary_folder_that_is_missing_is_named(sandbox: Sandbox) -> None:
    """TMPDIR is said to be wrong."""
    done = sandbox.with_postgres("--", "true", TMPDIR="/nowhere")
    assert 1 == done.returncode
    assert "Error: No folder can be made in /nowhere" in done.stderr


def test_an_interrupted_command_has_the_last_word(sandbox: Sandbox) -> None:
    """The server's log says nothing about a signal, so it is shown behind what a failing command says only."""
    done = sandbox.with_postgres(
        "--engine", "embedded", "--", "sh", "-c", "echo the last word >&2; kill -TERM $PPID; exit 3"
    )
    assert (143, "the last word") == (done.returncode, done.stderr.splitlines()[-1])


@pytest.mark.alone
def test_the_server_ends_with_its_supervisor_and_the_shell(sandbox: Sandbox) -> None:
    """SIGKILL to both at once: the kernel stops Postgres, and the next sweep removes the folder."""
    process = sandbox.start(SCRIPT, "--engine", "embedded", "--", "sleep", "60")
    eventually(lambda: list(find(sandbox.leftovers.processes(), "sleep")), REACHED_SECONDS, "the command")
    for name in ("with_postgres.sh", "pgdst.server.embedded.supervisor", "sleep"):
        for found in find(sandbox.leftovers.processes(), name):
            found.kill()
    process.communicate()
    eventually(lambda: not sandbox.leftovers.processes(), 5, "Postgres ends")
    assert "Removed " in sandbox.script("sweep.py").stderr


NOISE = """print('NOISE')
    import os, subprocess
    os.system('echo SUB')
    subprocess.Popen(['sleep', '60'], close_fds=False)"""


@pytest.mark.parametrize("snapshot", ["auto", pytest.param("off", marks=pytest.mark.long)])
def test_standard_output_is_the_commands_alone(sandbox: Sandbox, snapshot: str) -> None:
    """What a migration prints goes to standard error, and nobody waits for what it leaves running."""
    tiny_backend.Backend(sandbox.root).migrate("0002_noise", NOISE, "0001_things")
    began = time.monotonic()
    done = sandbox.with_postgres("--engine", "embedded", "--snapshot", snapshot, "--", "echo", "x")
    try:
        assert (0, "x\n") == (done.returncode, done.stdout), done.stderr
        assert "NOISE\n" in done.stderr
        assert "SUB\n" in done.stderr
        up = sandbox.script("db_up.py", PGDST_ENGINE="embedded", PGDST_SNAPSHOT=snapshot)
        assert (0, 1) == (up.returncode, len(up.stdout.splitlines())), up.stdout
        assert time.monotonic() - began < 60
    finally:
        sandbox.script("db_down.py", PGDST_ENGINE="embedded")
        for left in find(sandbox.leftovers.processes(), "sleep"):
            left.kill()
