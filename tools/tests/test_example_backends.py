"""Each example backend needs the commands of its README and nothing else, from a checkout as it is cloned."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KIT, Sandbox
from developers import Developers

EXAMPLES = Path("tools/examples")
NEEDED = ("tools", "pyproject.toml", "README.md")  # of the checkout, from which the kit is installed
COMMANDS = ("python3 ", ".venv/bin/", "cp ", "sed ", "mv ")
# Where its race is planted, and what the test that finds it says.
FAILS = {
    "bookings": ("bookings/service.py", ("the room is booked twice", " 6! ", "schedule: ada*5 bob*6 ada")),
    "tickets": ("tickets/main.py", ("the last seat is sold twice", "schedule: ")),
    "transfers": ("transfers/main.py", ("money is lost", "schedule: ")),
}
NewExample = Callable[[str], Sandbox]


@pytest.fixture
def new_example(tmp_path: Path, new_sandbox: Callable[[Path | None], Sandbox]) -> NewExample:
    """What makes a checkout with an example, and returns its folder."""

    def made(name: str) -> Sandbox:
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *NEEDED]
        cloned = subprocess.run(listed, cwd=KIT, capture_output=True, text=True, check=True)
        for file in cloned.stdout.splitlines():
            if (KIT / file).exists():
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(KIT / file, tmp_path / file)
        return new_sandbox(tmp_path / EXAMPLES / name)

    return made


def commands(name: str, section: str) -> list[str]:
    """Return the commands of a section of the example's README, as they stand there."""
    text = (KIT / EXAMPLES / name / "README.md").read_text()
    [found] = re.findall(rf"(?ms)^## {section}\n(.*?)(?=^## |\Z)", text)
    return [
        line.strip() for line in found.splitlines() if line.startswith("    ") and line.strip().startswith(COMMANDS)
    ]


def set_up_and_run(name: str, example: Sandbox, *sections: str) -> None:
    """Do what the README says: all is green, and the race is found where it is planted."""
    for section in ("Set up", "Run", *sections):
        assert [] != commands(name, section)
        for command in commands(name, section):
            done = example.run("bash", "-c", command)
            assert 0 == done.returncode, f"{command}\n{done.stdout}{done.stderr}"
            if "pytest" in command:
                assert re.search(r"(?m)^=* ?\d+ passed in", done.stdout), done.stdout
    changed, told = FAILS[name]
    original = (example.root / changed).read_text()
    take_away, run, put_back = commands(name, "See it fail")
    assert 0 == example.run("bash", "-c", take_away).returncode
    assert original != (example.root / changed).read_text()
    failed = example.run("bash", "-c", run)
    assert 1 == failed.returncode
    for words in told:
        assert words in failed.stdout
    assert 0 == example.run("bash", "-c", put_back).returncode
    assert original == (example.root / changed).read_text()


@pytest.mark.long
@pytest.mark.parametrize("name", ["tickets", "transfers"])
def test_the_commands_of_the_readme_are_enough(new_example: NewExample, name: str) -> None:
    set_up_and_run(name, new_example(name))


@pytest.mark.long
def test_the_developers_own_database_is_left_alone(new_example: NewExample, developers: Developers) -> None:
    """The one that .env names, which the application reads."""
    example = new_example("bookings")
    file = example.root / ".env.example"
    text, replaced = re.subn("(?m)^POSTGRES_PORT=.*$", f"POSTGRES_PORT={developers.port}", file.read_text())
    assert 1 == replaced
    file.write_text(text)
    set_up_and_run("bookings", example, "Replay")
    assert [] == developers.met
    assert 0 != example.run(".venv/bin/alembic", "upgrade", "head").returncode
    assert [] != developers.met  # which .env does lead to
