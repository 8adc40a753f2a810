"""Any number of runs at once, from several checkouts: none touches another."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny_backend
from conftest import Sandbox


@pytest.mark.alone
@pytest.mark.long
def test_four_runs_at_once_from_two_checkouts_all_pass(
    tmp_path: Path, new_sandbox: Callable[[Path | None], Sandbox]
) -> None:
    """Two terminals in each of two checkouts run `make test-dst` of Deep Sci-Fi, beside a long-lived database."""
    checkouts = [tiny_backend.copy_kit(tmp_path / name) for name in ("one", "two")]
    sandboxes = [new_sandbox(root) for root in (*checkouts, *checkouts)]
    url = sandboxes[0].run("make", "db-up").stdout
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda one: one.run("make", "test-dst", "EXAMPLES=5", "SEED=3"), sandboxes))
    assert [0] * 4 == [run.returncode for run in runs], [run.stdout + run.stderr for run in runs]
    assert 1 == len({hash_of(run.stdout) for run in runs})
    assert url == sandboxes[0].run("make", "db-url").stdout
    assert 0 == sandboxes[0].run("make", "db-down").returncode


def hash_of(output: str) -> str:
    """Return the hash of the run that `make test-dst` printed."""
    [line] = [line for line in output.splitlines() if line.startswith("run hash: ")]
    return line


@pytest.mark.alone
@pytest.mark.long  # sweep.py removes the images that this machine has for its next runs
@pytest.mark.parametrize("engine", ["docker", "embedded"])
def test_db_down_leaves_a_running_run_alone(sandbox: Sandbox, engine: str) -> None:
    """`db-down` and `clean` in the same checkout do not disturb a run that is under way."""
    program = (
        f'"{tiny_backend.KIT}/.venv/bin/python" "{tiny_backend.KIT}/tools/db_down.py" && '
        f'"{tiny_backend.KIT}/.venv/bin/python" "{tiny_backend.KIT}/tools/sweep.py" && '
        "psql --tuples-only --no-align --command 'SELECT 1'"
    )
    done = sandbox.with_postgres("--engine", engine, "--", "sh", "-c", program)
    assert (0, "1\n") == (done.returncode, done.stdout), done.stderr
