"""The example backend needs the commands of its README and nothing else, from a checkout as it is cloned."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KIT, Sandbox
from developers import Developers

EXAMPLE = Path("tools/examples/bookings")
NEEDED = ("tools", "pyproject.toml", "README.md")  # of the checkout, from which the kit is installed
COMMANDS = ("python3 ", ".venv/bin/", "cp ", "sed ", "mv ")


@pytest.fixture
def example(tmp_path: Path, new_sandbox: Callable[[Path | None], Sandbox], developers: Developers) -> Sandbox:
    """The example's folder in a checkout of its own; its .env.example names what plays the developer's database."""
    cloned = subprocess.run(["git", "ls-files", *NEEDED], cwd=KIT, capture_output=True, text=True, check=True)
    for name in cloned.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(KIT / name, tmp_path / name)
    file = tmp_path / EXAMPLE / ".env.example"
    text, replaced = re.subn("(?m)^POSTGRES_PORT=.*$", f"POSTGRES_PORT={developers.port}", file.read_text())
    assert 1 == replaced
    file.write_text(text)
    return new_sandbox(file.parent)


def commands(section: str) -> list[str]:
    """Return the commands of a section of the example's README, as they stand there."""
    text = (KIT / EXAMPLE / "README.md").read_text()
    [found] = re.findall(rf"(?ms)^## {section}\n(.*?)(?=^## |\Z)", text)
    return [
        line.strip() for line in found.splitlines() if line.startswith("    ") and line.strip().startswith(COMMANDS)
    ]


@pytest.mark.long
def test_the_commands_of_the_readme_are_enough(example: Sandbox, developers: Developers) -> None:
    """All is green, the race is found where it is planted, and the developer's own database is left alone."""
    for section in ("Set up", "Run", "Replay"):
        assert [] != commands(section)
        for command in commands(section):
            done = example.run("bash", "-c", command)
            assert 0 == done.returncode, f"{command}\n{done.stdout}{done.stderr}"
            if "pytest" in command:
                assert re.search(r"(?m)^=* ?\d+ passed in", done.stdout), done.stdout

    service = example.root / "bookings" / "service.py"
    original = service.read_text()
    take_away, run, put_back = commands("See it fail")
    assert 0 == example.run("bash", "-c", take_away).returncode
    assert original != service.read_text()
    failed = example.run("bash", "-c", run)
    assert 1 == failed.returncode
    for line in ("the room is booked twice", " 6! ", "schedule: ada*5 bob*6 ada"):
        assert line in failed.stdout
    assert 0 == example.run("bash", "-c", put_back).returncode
    assert original == service.read_text()

    assert [] == developers.met
    assert 0 != example.run(".venv/bin/alembic", "upgrade", "head").returncode
    assert [] != developers.met  # which .env does lead to
