"""pgdst.pytest.plugin: the output at the end of a run, and the files that it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import KIT, PYTHON, QUICKER_ENGINE, Sandbox
from pgdst.project import Project
from pgdst.pytest.simulation_run import MOST_WORKERS, command, default_workers
from tiny_backend import TWO_CLIENTS

SIMULATION = """
def test_tosses(run_trace, run_coverage, pytestconfig):
    run_trace.append("a toss")
    run_coverage.declare(states=("heads are up", "tails are up"), moves=("catch", "toss"))
    run_coverage.sometimes("heads are up", True)
    run_coverage.sometimes("toss", True)
    assert pytestconfig.getoption("--pgdst-profile") != "unlucky"
"""
# Two tests with shards, the first with two extensions. Environment variables control the coverage and failures.
SHARDED_SIMULATION = """
import os


def test_tosses(run_shard, pytestconfig):
    run_shard.trace.append(f"toss {run_shard.number} {run_shard.seed}")
    run_shard.examples = 3
    run_shard.coverage.declare(states=("heads are up", "tails are up"), moves=("catch", "toss"))
    run_shard.coverage.sometimes("heads are up" if run_shard.number else "tails are up", True)
    run_shard.coverage.sometimes("toss", True)
    run_shard.coverage.sometimes("catch", str(run_shard.number) == os.environ.get("CAUGHT_IN"))
    run_shard.coverage.must_reach_everything = True
    assert str(run_shard.number) not in os.environ.get("FAILS_IN", "").split()


def test_rolls(run_shard):
    run_shard.trace.append(f"roll {run_shard.number} {run_shard.seed}")
"""
CONFTEST = """
def pytest_pgdst_shards(config, test):
    return {"test_tosses": [5, 1, 1], "test_rolls": [2]}[test]
"""


@pytest.fixture
def simulation(tmp_path: Path) -> Path:
    """A simulation that needs no database."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = tmp_path / "test_tosses.py"
    path.write_text(SIMULATION)
    return path


def run_pytest(simulation: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pgdst.pytest.plugin", str(simulation), *arguments],
        cwd=simulation.parent,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PGDST_")},
            "PYTHONPATH": str(KIT / "tools"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def printed(simulation: Path, *arguments: str, status: int | None = None, **environment: str) -> list[str]:
    """Return the lines that a run prints, the plugin's section last. Checks the exit status if one is given."""
    done = run_pytest(simulation, *arguments, **environment)
    assert status in (None, done.returncode), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_run_that_passed_prints_what_it_reached(simulation: Path) -> None:
    """Each state with its count; of the moves, those that never succeeded."""
    lines = [line for line in printed(simulation, "--pgdst-seed=7") if line.startswith("reached: ")]
    assert ["reached: 1 times heads are up", "reached: 0 times tails are up", "reached: never catch"] == lines


@pytest.mark.parametrize(("before", "within"), [(700, 10_000), (20_000, 20_000), (0, 0)])
def test_the_garbage_collector_is_left_as_it_was(simulation: Path, before: int, within: int) -> None:
    """During the tests it looks less often, unless it does so already."""
    simulation.write_text("import gc\n\ndef test_it():\n    print('within', gc.get_threshold()[0])\n")
    hooks = f"gc.set_threshold({before})\n\ndef pytest_sessionfinish():\n    print('after', gc.get_threshold()[0])\n"
    (simulation.parent / "conftest.py").write_text(f"import gc\n\n{hooks}")
    told = "\n".join(printed(simulation, "-s", status=0))
    assert f"within {within}\n" in told
    assert f"after {before}" in told


@pytest.mark.long
def test_a_run_that_failed_prints_one_command_that_makes_it_again(simulation: Path) -> None:
    """The command has all options that matter. The coverage of an incomplete run is not printed."""
    given = ("--pgdst-seed=7", "--pgdst-profile=unlucky", "--pgdst-examples", "3", "-x", "-n2", "--maxfail", "1", "-vv")
    lines = printed(simulation, *given, PGDST_FAULTS="some", PGDST_ENGINE="embedded")
    [replay] = replays(lines)
    assert replay.startswith(f"cd {simulation.parent} && PGDST_ENGINE=embedded PYTHONPATH={KIT / 'tools'} {PYTHON} ")
    assert replay.endswith(
        " -m pytest test_tosses.py::test_tosses --pgdst-seed=7 -p pgdst.pytest.plugin --pgdst-profile=unlucky "
        "--pgdst-examples 3 --pgdst-faults=some"
    )
    assert not [line for line in lines if line.startswith("reached: ")]


def replays(lines: list[str]) -> list[str]:
    return [line.removeprefix("replay: ") for line in lines if line.startswith("replay: ")]


def pasted(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell in another folder, without this process's environment."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTEST_ADDOPTS") if name in os.environ}
    return subprocess.run(
        ["bash", "-c", line], cwd="/", env=clean | environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def shards(simulation: Path) -> Path:
    """A simulation of shards: 0 to 4 are tosses, 5 and 6 rolls, 7 and 8 extensions of tosses."""
    simulation.write_text(SHARDED_SIMULATION)
    (simulation.parent / "conftest.py").write_text(CONFTEST)
    return simulation


WORKERS = ((), ("-n", "3", "--maxschedchunk=1"))


def told(lines: list[str]) -> list[str]:
    """Return the lines from the run's hash on, without those that depend on time."""
    return [line for line in lines if line.startswith(("run hash: ", "reached: ", "replay: ", "failed: "))]


@pytest.mark.parametrize(
    ("said", "status", "passed"),
    [
        pytest.param({"CAUGHT_IN": "3"}, 0, 7, marks=pytest.mark.long),  # no extension is needed
        pytest.param({"CAUGHT_IN": "5"}, 0, 8, marks=pytest.mark.long),  # one is
        pytest.param({}, 1, 9, marks=pytest.mark.long),  # both are, and do not help
        ({"CAUGHT_IN": "3", "FAILS_IN": "2 4"}, 1, None),
    ],
)
def test_a_run_is_the_same_however_many_processes_take_its_shards(
    shards: Path, said: dict[str, str], status: int, passed: int | None
) -> None:
    """Its hash, coverage and first failure are the same."""
    alone, shared = (printed(shards, "--pgdst-seed=7", *how, status=status, **said) for how in WORKERS)
    assert told(alone)
    assert told(alone) == told(shared)
    assert [bool(status)] == [bool(pasted(line, **said).returncode) for line in replays(alone)] or not replays(alone)
    if passed:
        assert any(line.startswith(f"{passed} passed") for line in shared), shared


def test_what_no_shard_has_reached_fails_the_run(shards: Path) -> None:
    """The sum of all shards counts."""
    lines = printed(shards, "--pgdst-seed=7", status=1)
    assert "failed: never once reached in this run: catch" in lines
    [replay] = replays(lines)
    assert replay.endswith(f"{PYTHON} -m pytest --pgdst-seed=7 -p pgdst.pytest.plugin {shards}")
    assert "failed: never once reached in this run: catch" in pasted(replay).stdout.splitlines()


def test_a_shard_that_failed_is_run_alone_by_the_command_that_is_printed(shards: Path) -> None:
    """The first failed shard has the same trace alone, and need not reach everything."""
    lines = printed(shards, "--pgdst-seed=7", "--pgdst-trace=whole", status=1, FAILS_IN="2 4")
    [replay] = replays(lines)
    assert "'test_tosses.py::test_tosses[2]' --pgdst-seed=7" in replay
    assert 1 == pasted(replay, FAILS_IN="2").returncode
    passed = pasted(replay)
    assert 0 == passed.returncode, passed.stdout
    assert 0 == printed(shards, "--pgdst-seed=7", "--pgdst-shard=2", "--pgdst-trace=alone", status=0).count("failed")
    whole, alone = ((shards.parent / name).read_text().splitlines() for name in ("whole", "alone"))
    assert [whole[2]] == alone
    assert alone[0].startswith("toss 2 ")


def test_tests_of_another_module_are_run_after_shards_that_were_passed_over(shards: Path) -> None:
    other = shards.parent / "test_zeal.py"
    other.write_text("def test_after():\n    pass\n")
    lines = printed(shards, str(other), status=1, FAILS_IN="2")
    assert any(line.startswith("1 failed, 3 passed") for line in lines), lines


def test_a_shard_that_there_is_not_is_refused(shards: Path) -> None:
    done = run_pytest(shards, "--pgdst-shard=9")
    assert 4 == done.returncode
    assert "There is no shard 9: the run has 9, from 0 on." in done.stderr


@pytest.mark.long
def test_how_far_the_run_is_is_said_unless_it_is_to_be_quiet(shards: Path) -> None:
    """Progress is shown at a terminal, but not with -q."""
    arguments = [sys.executable, "-m", "pytest", "-p", "pgdst.pytest.plugin", str(shards), "--pgdst-seed=7"]
    environment = {**os.environ, "PYTHONPATH": str(KIT / "tools"), "CAUGHT_IN": "3"}
    for options, is_said in (([], True), (["-q"], False), (["-n", "2"], True)):
        screen = at_a_terminal([*arguments, *options], shards.parent, environment)
        assert is_said == ("pgdst: 7 of 7 shards, 15 examples, 4 of 4 reached, " in screen), screen


def at_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Return the output of a command at a terminal of its own."""
    ours, theirs = os.openpty()
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side has closed it
                break
            shown += part
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(("profile", "passed_on"), [("quick", ["--pgdst-profile=quick"]), (None, [])])
def test_the_profile_is_passed_through_as_it_was_given(
    tmp_path: Path, profile: str | None, passed_on: list[str]
) -> None:
    """The plugin does not interpret the name. Without one the option is None."""
    project = Project(root=tmp_path, backend=tmp_path, alembic_ini=tmp_path / "alembic.ini", simulation=tmp_path)
    arguments = command(project, 7, profile, None, [])
    assert passed_on == [argument for argument in arguments if argument.startswith("--pgdst-profile")]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives a process all cores")
def test_there_are_as_many_processes_as_cores_that_may_be_used() -> None:
    usable = os.sched_getaffinity(0)
    assert min(len(usable), MOST_WORKERS) == default_workers()
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert 1 == default_workers()
    finally:
        os.sched_setaffinity(0, usable)


def test_one_process_stops_at_the_first_failure_and_several_have_servers_of_their_own(tmp_path: Path) -> None:
    project = Project(root=tmp_path, backend=tmp_path, alembic_ini=tmp_path / "alembic.ini", simulation=tmp_path)
    one, several = command(project, 7, None, None, []), command(project, 7, None, None, [], workers=3, faults="all")
    assert "-x" in one
    assert not [argument for argument in one if "numprocesses" in argument]
    assert {"--pgdst-own-servers", "--numprocesses=3", "--pgdst-faults=all"} <= set(several)
    assert "-x" not in several
    alone = command(project, 7, None, None, [], workers=3, shard=4)
    assert "--pgdst-shard=4" in alone
    assert not [argument for argument in alone if "numprocesses" in argument]


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
def test_nothing_is_left_open_that_python_warns_of(sandbox: Sandbox, engine: str) -> None:
    """With every warning an error, the unraisable ones too."""
    strict = ("-q", "-W", "error", "-W", "error::pytest.PytestUnraisableExceptionWarning")
    done = sandbox.test(TWO_CLIENTS, "--engine", engine, arguments=strict, PYTHONWARNINGS="default", PYTHONDEVMODE="1")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


def test_an_extension_that_failed_is_run_alone_by_the_line_that_is_printed(shards: Path) -> None:
    lines = printed(shards, "--pgdst-seed=7", status=1, FAILS_IN="5")
    [replay] = replays(lines)
    assert "test_tosses[5-extension-1]" in replay
    again = pasted(replay, FAILS_IN="5")
    assert 1 == again.returncode
    assert replays(again.stdout.splitlines())[0].endswith(replay[replay.index("'test_tosses.py") :])


SIMULATED = """
import os

from pgdst.simulation.strategies.uniform import Uniform


def test_clients(simulation, pgdst_seed):
    simulation.spawn("ada", str)
    simulation.run(Uniform(pgdst_seed))
    assert "FINE" in os.environ
"""


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
@pytest.mark.parametrize(
    "around", [pytest.param(True, marks=pytest.mark.long), False], ids=["with_postgres", "by_hand"]
)
def test_the_line_of_a_test_that_simulates_is_pasted(sandbox: Sandbox, engine: str, around: bool) -> None:
    """In a foreign backend without `make test-dst`, in a folder with a blank and a quote in its name."""
    test = sandbox.root / "tests" / "it's one" / "test_clients.py"
    test.parent.mkdir()
    test.write_text(SIMULATED)
    (sandbox.root / "tests" / "conftest.py").write_text('pytest_plugins = ["pgdst.pytest.plugin"]\n')
    called: list[str | Path] = [PYTHON, "-m", "pytest", "-q", "--pgdst-seed", "5", test.relative_to(sandbox.root)]
    knobs = {"PYTHONPATH": str(KIT / "tools"), "PGDST_ENGINE": engine}
    done = sandbox.with_postgres("--", *called, **knobs) if around else sandbox.run(*called, **knobs)
    assert 1 == done.returncode, done.stdout + done.stderr
    [replay] = replays(done.stdout.splitlines())
    assert ("with_postgres.sh --" in replay) is around
    failed, passed = (pasted(replay, **sandbox.places(), **said) for said in ({}, {"FINE": "1"}))
    assert 1 == failed.returncode, replay + failed.stdout + failed.stderr
    assert replay.endswith(replays(failed.stdout.splitlines())[0])  # that shell is in the folder
    assert 0 == passed.returncode, passed.stdout + passed.stderr


@pytest.mark.parametrize(
    ("trace", "status", "wrong"),
    [
        ("nowhere/run.trace", 4, "--pgdst-trace: "),
        ("/dev/full", 1, "Error: the traces could not be written to /dev/full"),
    ],
)
def test_a_trace_that_cannot_be_written_is_one_error(simulation: Path, trace: str, status: int, wrong: str) -> None:
    """And a device stays where it is."""
    run = run_pytest(simulation, f"--pgdst-trace={trace}")
    told = run.stdout + run.stderr
    assert (run.returncode, told.count(wrong), told.count("INTERNALERROR")) == (status, 1, 0)
    assert Path("/dev/full").is_char_device()
