"""The command that lists all checks."""

import subprocess
import sys
from pathlib import Path

from simulation.engine.planting import PLANTED_BUGS, PLANTED_RACES
from simulation.list_checks import lines

COMMAND = Path(__file__).parents[1] / "simulation" / "list_checks.py"
DEADLINE_SECONDS = 60


def run(*arguments: str) -> str:
    """Return what the command prints, called by hand from anywhere."""
    done = subprocess.run(
        [sys.executable, COMMAND, *arguments],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    return done.stdout


def test_it_says_what_it_is_for() -> None:
    assert "--domain" in run("--help")


def test_it_lists_the_checks_of_a_kind_and_domain_with_their_bugs() -> None:
    """How the platform refuses a forbidden move stands beside it."""
    listed = run("--kind=forbidden move", "--domain=dwellers")
    assert (
        "  claim_a_sixth_dweller 409 too_many_dwellers (dwellers)\n    Five dwellers are enough for anybody." in listed
    )
    assert "    finds six_dwellers_may_be_held\n" in listed
    assert "draft_a_fourth_open_proposal" not in listed


def test_every_planted_bug_stands_with_its_check() -> None:
    """In the list of all, which is a table of what the simulation finds."""
    listed = set(lines(None, None))
    assert {f"    finds {bug.name}" for bug in [*PLANTED_BUGS, *PLANTED_RACES]} <= listed
