"""`python -m pgdst COMMAND`: what the scripts in tools/ do, with a help that is right in that form."""

import re
from pathlib import Path

import pytest
from conftest import KIT, PYTHON, Sandbox

COMMANDS = sorted(file.stem for file in (KIT / "tools/pgdst/commands").glob("[a-z]*.py"))
SCRIPTS = [name for name in COMMANDS if name != "with_postgres"]  # which is a shell's
AS_A_SCRIPT = r"\b[a-z]+(_[a-z]+)*\.(py|sh)\b"
AS_A_MODULE = r"python -m pgdst"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_right_in_either_form(sandbox: Sandbox, name: str) -> None:
    command = name.replace("_", "-")
    as_a_module = sandbox.inside(Path("/")).run(PYTHON, "-m", "pgdst", command, "--help", PYTHONPATH=f"{KIT}/tools")
    assert (0, "") == (as_a_module.returncode, as_a_module.stderr)
    assert as_a_module.stdout.startswith(f"Usage: python -m pgdst {command} [")
    assert "Example: " in as_a_module.stdout
    assert f"python -m pgdst {command}" in as_a_module.stdout.partition("Example: ")[2]
    assert not re.search(AS_A_SCRIPT, as_a_module.stdout)
    assert not re.search(r"\{[a-z-]+\}", as_a_module.stdout)
    if name in SCRIPTS:
        as_a_script = sandbox.inside(Path("/")).script(f"{name}.py", "--help").stdout
        assert as_a_script.startswith(f"Usage: {name}.py [")
        assert f"{name}.py" in as_a_script.partition("Example: ")[2]
        assert not re.search(AS_A_MODULE, as_a_script)
        assert not re.search(r"\{[a-z-]+\}", as_a_script)


def test_every_script_of_a_command_is_there_and_starts_that_one() -> None:
    for name in SCRIPTS:
        assert f'launch("{name.replace("_", "-")}")' in (KIT / "tools" / f"{name}.py").read_text()


def test_all_commands_are_listed(sandbox: Sandbox) -> None:
    done = sandbox.run(PYTHON, KIT / "tools/pgdst", "--help")
    listed = re.findall(r"^  ([a-z-]+)  ", done.stdout.partition("Commands:")[2], re.MULTILINE)
    assert [name.replace("_", "-") for name in COMMANDS] == listed


def test_what_a_backend_has_in_its_folder_is_not_taken_for_a_package_of_the_kit(sandbox: Sandbox) -> None:
    """As many have an alembic/ or a docker/ there, and `python -m` would look there first."""
    for name in ("alembic", "docker", "click"):
        (sandbox.root / name).mkdir()
        (sandbox.root / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    command: list[str | Path] = [PYTHON, "-m", "pgdst", "with-postgres", "--engine", "embedded", "--", "echo", "x"]
    done = sandbox.run(*command, PYTHONPATH=str(KIT / "tools"))
    assert (0, "x\n") == (done.returncode, done.stdout), done.stderr


def test_with_postgres_passes_on_what_it_is_given(sandbox: Sandbox) -> None:
    """The command's own options and `--`, its status, and its standard output."""
    program = (
        'echo "$PGDST_PYTHON $1 $2 $3"; psql --tuples-only --no-align --command "SELECT count(*) FROM things"; exit 7'
    )
    command: list[str | Path] = [PYTHON, "-m", "pgdst", "with-postgres", "--engine", "embedded", "--"]
    done = sandbox.run(*command, "sh", "-c", program, "sh", "--help", "--", "-h", PYTHONPATH=str(KIT / "tools"))
    assert (7, f"{PYTHON} --help -- -h\n0\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize("arguments", [(), ("--engine", "embedded"), ("--",)])
def test_with_postgres_without_a_command_is_wrong_usage(sandbox: Sandbox, arguments: tuple[str, ...]) -> None:
    done = sandbox.run(PYTHON, KIT / "tools/pgdst", "with-postgres", *arguments)
    assert 2 == done.returncode
    assert "There is no command to run" in done.stderr
