"""Bad input and broken surroundings: one clear error, the right status, and nothing left behind."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import installed
import pytest
from conftest import ENGINES, KIT, PYTHON, QUICKER_ENGINE, Sandbox
from tiny_backend import Backend

# unlogged, so that it is the table that finds no room and not the write-ahead log, which would end the server
FILL = (
    'op.execute("CREATE UNLOGGED TABLE filler AS SELECT repeat(md5(n::text), 200) FROM generate_series(1, 300000) n")'
)


def one_error(stderr: str) -> str:
    """Return what stderr says after its single `Error:`; a traceback is none."""
    assert "Traceback" not in stderr, stderr
    _, *errors = re.split(r"^Error: ", stderr, flags=re.MULTILINE)
    assert len(errors) == 1, stderr
    return errors[0]


def test_a_dead_docker_host_is_named_with_why_and_what_to_do(sandbox: Sandbox) -> None:
    """`Docker is not running`, the endpoint, DOCKER_HOST as the reason, refused, and the embedded engine as a way."""
    done = sandbox.with_postgres("--", "true", DOCKER_HOST="tcp://127.0.0.1:9")
    error = one_error(done.stderr)
    assert done.returncode == 1
    for words in (
        "Docker is not running",
        "tcp://127.0.0.1:9",
        "DOCKER_HOST is set",
        "connection refused",
        "ENGINE=embedded",
    ):
        assert words in error


def test_a_socket_that_does_not_exist_is_said_to_be_no_such_file(sandbox: Sandbox) -> None:
    """The cause is told apart: no such file."""
    done = sandbox.script("check_docker.py", DOCKER_HOST=f"unix://{sandbox.scratch}/none.sock")
    assert done.returncode == 1
    assert "no such file" in one_error(done.stderr)


@pytest.mark.parametrize("body", ["{}", "[]", "null", "<html>"])
def test_what_is_no_docker_daemon_is_said_to_be_none(sandbox: Sandbox, body: str) -> None:
    """Whatever it is, it answers every request with the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Api-Version", "1.41")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        where = {"DOCKER_HOST": f"tcp://127.0.0.1:{other.server_address[1]}"}
        found = [
            sandbox.script("check_docker.py", **where),
            sandbox.script("db_down.py", **where),
            sandbox.with_postgres("--", "true", **where),
        ]
        other.shutdown()
    for done in found:
        assert 1 == done.returncode
        assert f"(DOCKER_HOST is set): no Docker daemon, it answers {body!r} where one says 'OK'." in done.stderr
        assert "Traceback" not in done.stderr


def test_a_context_that_does_not_exist_is_named(sandbox: Sandbox) -> None:
    """DOCKER_CONTEXT with a name that docker does not know is an error, not another daemon."""
    done = sandbox.script("check_docker.py", DOCKER_CONTEXT="nowhere")
    assert done.returncode == 1
    assert "no docker context nowhere" in one_error(done.stderr)


def test_docker_over_ssh_is_refused_with_the_way_around(sandbox: Sandbox) -> None:
    """ssh:// is not supported; the error says how to forward the socket."""
    done = sandbox.script("check_docker.py", DOCKER_HOST="ssh://somewhere")
    assert done.returncode == 1
    assert "ssh -NL" in one_error(done.stderr)


def test_an_image_that_does_not_exist_is_named(sandbox: Sandbox) -> None:
    """No fallback to another image: the one that was asked for is named."""
    done = sandbox.with_postgres("--image", "pgdst.invalid/no/such:image", "--", "true")
    assert done.returncode == 1
    assert "pgdst.invalid/no/such:image" in one_error(done.stderr)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_setting_that_postgres_refuses_shows_its_exit_code_and_log(sandbox: Sandbox, engine: str) -> None:
    """The server dies at start; within seconds its exit code and last log lines are shown."""
    Backend(sandbox.root).configure('backend = "."\nsettings = { shared_buffers = "plenty" }')
    done = sandbox.with_postgres("--engine", engine, "--", "true")
    error = one_error(done.stderr)
    assert done.returncode == 1
    assert "died at start: exit code 1" in error
    assert 'invalid value for parameter "shared_buffers": "plenty"' in error


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
def test_a_migration_that_raises_is_named_with_its_line(sandbox: Sandbox, engine: str) -> None:
    """The revision, its file and the line are in the error; the command is never run."""
    Backend(sandbox.root).migrate("0002_broken", "op.execute('SELECT 1/0')", "0001_things")
    done = sandbox.with_postgres("--engine", engine, "--", "touch", "ran")
    error = one_error(done.stderr)
    assert done.returncode == 1
    assert "in revision 0002_broken (0002_broken.py, line 9)" in error
    assert "division by zero" in error
    assert not (sandbox.root / "ran").exists()


def test_a_migration_with_a_syntax_error_names_the_file(sandbox: Sandbox) -> None:
    """A migration that cannot even be read is named by file and line."""
    Backend(sandbox.root).migrate("0002_broken", "if", "0001_things")
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert done.returncode == 1
    assert "0002_broken.py, line 9" in one_error(done.stderr)


def test_two_heads_are_both_named(sandbox: Sandbox) -> None:
    """Several heads: which ones, and how to merge them."""
    Backend(sandbox.root).migrate("0002_left", "pass", "0001_things").migrate("0002_right", "pass", "0001_things")
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert done.returncode == 1
    assert "2 heads: 0002_left, 0002_right" in one_error(done.stderr)


def test_drift_names_the_table_and_the_revision(sandbox: Sandbox) -> None:
    """A model that no migration has made is an error that says what a migration would do."""
    tables = sandbox.root / "tables.py"
    tables.write_text(tables.read_text() + 'Table("forgotten", metadata, Column("id", Integer, primary_key=True))\n')
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    error = one_error(done.stderr)
    assert done.returncode == 1
    assert "differ from the database at revision 0001_things" in error
    assert "add_table forgotten" in error


@pytest.mark.long
def test_much_drift_is_shortened_and_may_be_a_warning_or_nothing(sandbox: Sandbox) -> None:
    tables = sandbox.root / "tables.py"
    tables.write_text(
        f"{tables.read_text()}for number in range(40):\n    Table(f'forgotten_{{number:02}}', metadata)\n"
    )
    error = one_error(sandbox.with_postgres("--engine", "embedded", "--", "true").stderr)
    assert 10 == error.count("add_table forgotten_")
    assert "  and 30 more\n" in error
    assert 'drift = "warn"' in error
    for drift, said in {"warn": 10, "off": 0}.items():
        Backend(sandbox.root).configure(f'backend = "."\ndrift = "{drift}"')
        done = sandbox.with_postgres("--engine", "embedded", "--", "true")
        assert (0, said) == (done.returncode, done.stderr.count("add_table forgotten_")), done.stderr


def test_an_env_py_that_migrates_another_database_is_found_out(sandbox: Sandbox) -> None:
    """An env.py that ignores the URL it is given does not pass for a migrated database."""
    (sandbox.root / "migrations" / "env.py").write_text("")
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert done.returncode == 1
    assert "env.py does not use the URL it is given" in one_error(done.stderr)


def test_no_alembic_ini_names_the_path_that_was_looked_at(sandbox: Sandbox) -> None:
    """The path and the key to correct."""
    (sandbox.root / "alembic.ini").unlink()
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    error = one_error(done.stderr)
    assert done.returncode == 1
    assert f"no Alembic configuration at {sandbox.root / 'alembic.ini'}" in error
    assert "--alembic-ini" in error


def test_a_file_whose_tool_is_no_table_is_named(sandbox: Sandbox) -> None:
    (sandbox.root / "pyproject.toml").write_text("tool = [1]\n")
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert f"{sandbox.root}/pyproject.toml: tool must be a table." in one_error(done.stderr)


def test_a_working_directory_that_is_gone_is_said(sandbox: Sandbox) -> None:
    gone = sandbox.root / "gone"
    gone.mkdir()
    for script in (f"{KIT}/tools/with_postgres.sh -- true", f"{PYTHON} {KIT}/tools/db_up.py"):
        done = sandbox.inside(gone).run("sh", "-c", f"rmdir ../gone; {script}; status=$?; mkdir ../gone; exit $status")
        assert 1 == done.returncode
        assert "The working directory does not exist any more" in one_error(done.stderr)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('backend = "nowhere"', "no such folder"),
        ('backnd = "."', "has no key backnd"),
        ("backend = 7", "has the wrong type"),
        ('sql_determinism = "yes"', "sql_determinism has the wrong type"),
        ('drift = "never"', "drift = 'never' is none of error, warn, off"),
        ('other_servers = ["somewhere"]', "other_servers has somewhere, which is not host:port"),
        ('environment = { HOST = "{hots}" }', "HOST = '{hots}' cannot be used"),
        ('environment = { HOST = "{host.upper}" }', "there is no 'host.upper'"),
        ('environment = { "Aé" = "x" }', "is no name of a variable"),
        ('environment = { "A;B" = "x" }', "'A;B' is no name of a variable"),
        ("backend = ", "cannot be read"),
    ],
)
def test_a_wrong_configuration_names_the_key(sandbox: Sandbox, table: str, words: str) -> None:
    """What is wrong in [tool.pgdst] is said before anything is started."""
    Backend(sandbox.root).configure(table)
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert done.returncode == 1
    assert words in one_error(done.stderr)


def test_a_simulation_folder_that_does_not_exist_is_named(sandbox: Sandbox) -> None:
    """run_simulation.py says which folder it looked for."""
    done = sandbox.script("run_simulation.py", "--simulation", "nowhere")
    assert done.returncode == 1
    assert f"no simulation at {sandbox.root / 'nowhere'}" in one_error(done.stderr)


def test_no_room_for_the_server_is_said_by_its_log(sandbox: Sandbox) -> None:
    """A tmpfs too small for initdb, or for the snapshot: the server dies at start, and its log says why."""
    for snapshot, said in {"off": "No space left on device", "auto": "The snapshot does not fit into the room"}.items():
        done = sandbox.with_postgres("--disk-mib", "16", "--snapshot", snapshot, "--", "true")
        assert done.returncode == 1
        assert said in one_error(done.stderr)
        assert "DISK_MIB" in done.stderr


@pytest.mark.parametrize("knob", ["PGDST_TTL_HOURS=nan", "PGDST_TTL_HOURS=-1", "PGDST_DISK_MIB=-5", "PGDST_DISK_MIB=x"])
def test_a_number_that_is_none_is_refused_before_anything_is_started(sandbox: Sandbox, knob: str) -> None:
    name, _, value = knob.partition("=")
    done = sandbox.script("db_up.py", **{name: value})
    assert 2 == done.returncode
    assert f"Invalid value for '--{name.removeprefix('PGDST_').lower().replace('_', '-')}'" in done.stderr


@pytest.mark.long
def test_no_room_for_a_migration_names_the_revision(sandbox: Sandbox) -> None:
    """A tmpfs that fills up in a migration is an error of that revision."""
    Backend(sandbox.root).migrate("0002_large", FILL, "0001_things")
    done = sandbox.with_postgres("--disk-mib", "64", "--", "true")
    error = one_error(done.stderr)
    assert done.returncode == 1
    assert "in revision 0002_large" in error
    assert "No space left on device" in error


def test_an_env_py_that_takes_database_url_is_served_and_the_password_never_shown(sandbox: Sandbox) -> None:
    """The commonest idiom works, on a socket too; an error does not print the URL's password."""
    env = sandbox.root / "migrations" / "env.py"
    idiom = 'context.config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"])'
    env.write_text(f"import os\nfrom alembic import context\n{idiom}\n{env.read_text()}")
    assert 0 == sandbox.with_postgres("--engine", "embedded", "--", "true").returncode
    env.write_text('import os\nraise ValueError(os.environ["DATABASE_URL"])\n')
    error = one_error(sandbox.with_postgres("--engine", "embedded", "--", "true").stderr)
    assert "pgdst:***@" in error


def test_a_server_that_is_gone_is_one_error(sandbox: Sandbox) -> None:
    """The environment of a run that has ended: no traceback."""
    done = sandbox.script("migrate.py", PGDST_RUN_ID="x", PGDST_DATABASE_URL="postgresql+psycopg://u:p@127.0.0.1:9/x")
    assert 1 == done.returncode
    assert "does not answer at 127.0.0.1:9" in one_error(done.stderr)


def test_a_server_of_another_run_is_refused_before_anything_is_changed(sandbox: Sandbox) -> None:
    """PGDST_DATABASE_URL of one run with the id of another: nothing is migrated, no table is made."""
    program = (
        'psql --quiet --command "DROP TABLE alembic_version, things"; '
        f'PGDST_RUN_ID=another "{PYTHON}" "{KIT}/tools/migrate.py" && exit 9; '
        "psql --tuples-only --no-align --command \"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'\""
    )
    done = sandbox.with_postgres("--engine", "embedded", "--", "sh", "-c", program)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert "expected another" in one_error(done.stderr)


def test_a_url_without_a_run_id_is_refused(sandbox: Sandbox) -> None:
    """A PGDST_DATABASE_URL alone proves nothing."""
    done = sandbox.script("migrate.py", PGDST_DATABASE_URL="postgresql+psycopg://u:secret@127.0.0.1:9/x")
    error = one_error(done.stderr)
    assert done.returncode == 1
    assert "go together" in error
    assert "secret" not in error


@pytest.mark.long
def test_pytest_by_hand_refuses_a_foreign_server_too(sandbox: Sandbox) -> None:
    """The fixture checks the run's id as well."""
    test = "def test_it(pgdst_server):\n    raise AssertionError('reached')\n"
    (sandbox.root / "tests" / "test_it.py").write_text(test)
    program = f'PGDST_RUN_ID=another "{PYTHON}" -m pytest tests/test_it.py'
    done = sandbox.with_postgres("--engine", "embedded", "--", "sh", "-c", program, PYTHONPATH=str(KIT / "tools"))
    assert done.returncode == 1
    assert "Refusing to touch the server" in done.stdout
    assert "reached" not in done.stdout


@pytest.mark.parametrize("script", sorted(path.name for path in Path(KIT / "tools").glob("*.py")))
def test_every_script_has_help_with_an_example_and_refuses_nonsense(sandbox: Sandbox, script: str) -> None:
    """--help works from any folder and shows an example; an unknown option has status 2."""
    shown = sandbox.inside(Path("/")).script(script, "--help")
    assert shown.returncode == 0
    assert "Example: " in shown.stdout
    assert sandbox.script(script, "--no-such-option").returncode == 2


def test_a_python_without_the_kit_is_told_what_to_install(sandbox: Sandbox) -> None:
    """As where PGDST_PYTHON is the backend's own: one line, with the command."""
    bare = installed.environment(sandbox.scratch / "bare", shares=False).python
    done = sandbox.with_postgres("--", "true", PGDST_PYTHON=str(bare))
    assert 1 == done.returncode
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {bare} lacks what the kit needs (alembic, click, docker,")
    assert line.endswith(f" Run: {bare} -m pip install {KIT}")


@pytest.mark.parametrize("kind", ["missing", "folder", "text"])
def test_a_python_that_is_no_program_is_said_to_be_none(sandbox: Sandbox, kind: str) -> None:
    place = sandbox.scratch / kind
    if kind == "folder":
        place.mkdir()
    elif kind == "text":
        place.write_text("no program")
    done = sandbox.with_postgres("--", "true", PGDST_PYTHON=str(place))
    assert 1 == done.returncode
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: PGDST_PYTHON is '{place}', which is no program.")


@pytest.mark.parametrize("snapshot", ["auto", pytest.param("off", marks=pytest.mark.long)])
def test_a_kit_without_the_backends_packages_is_told_where_to_install_them(sandbox: Sandbox, snapshot: str) -> None:
    """One error, with the Python that lacks them."""
    env = sandbox.root / "migrations" / "env.py"
    env.write_text("import app_of_theirs.models\n" + env.read_text())
    done = sandbox.with_postgres("--engine", "embedded", "--snapshot", snapshot, "--", "true")
    assert 1 == done.returncode
    error = one_error(done.stderr)
    assert "No module named 'app_of_theirs'" in error
    assert f"{PYTHON} has no such package. Install the backend's packages beside the kit" in error
    assert "PGDST_PYTHON" in error
