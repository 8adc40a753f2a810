"""What there is to be read: its snippets run and print what they say, its commands and its links exist."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_backend
from conftest import KIT, PYTHON, Sandbox
from pgdst import project

MAKEFILE = (KIT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.*##\*? ", MAKEFILE, re.MULTILINE)
KNOBS = re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE)
PAGES = sorted(
    [KIT / "README.md", KIT / ".github" / "CONTRIBUTING.md", *(KIT / "tools" / "docs").rglob("*.md")],
    key=lambda page: str(page.relative_to(KIT)),
)
FENCE = re.compile(r"(?ms)^(?:`(?P<file>[\w./]+)`:\n\n)?```(?P<kind>\w+)(?P<unrun> no-run)?\n(?P<text>.*?)^```$")
IMAGE = "pgdst-search"  # as the guide calls it
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: of which language, of which file where it is one, and whether a test runs it."""

    kind: str
    file: str | None
    is_run: bool
    text: str


def blocks(page: Path, kind: str) -> Iterator[Block]:
    """Yield a page's blocks of one language."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        if found["kind"] == kind:
            yield Block(kind, found["file"], not found["unrun"], found["text"])


def named(page: Path) -> str:
    """Return how a page is called in the names of tests."""
    return str(page.relative_to(KIT))


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """The backend of the guide, with the files of all pages."""
    backend = tiny_backend.Backend(sandbox.root)
    backend.migrate(
        "0002_accounts",
        "op.create_table('accounts', sa.Column('id', sa.Integer, primary_key=True), "
        "sa.Column('balance', sa.Integer, nullable=False))",
        down_revision="0001_things",
    )
    with (sandbox.root / "tables.py").open("a") as tables:
        tables.write(
            'Table("accounts", metadata, Column("id", Integer, primary_key=True), '
            'Column("balance", Integer, nullable=False))\n'
        )
    for page in PAGES:
        for block in blocks(page, "python"):
            if block.file is not None:
                (sandbox.root / block.file).write_text(block.text)
    return sandbox


def test_the_snippets_of_all_pages_pass_and_the_race_is_found_as_it_is_shown(shop: Sandbox) -> None:
    """The failing test prints the interleaving and the schedule of the page, and a line that replays it."""
    files = [block.file for page in PAGES for block in blocks(page, "python") if block.file]
    failing = "tests/test_pay.py"
    passing = sorted({file for file in files if "test_" in file} - {failing})
    assert len(passing) > 3
    tests = f"{PYTHON} -m pytest -q -p pgdst.pytest.plugin"
    script = f"{tests} {' '.join(passing)} || exit 9; {tests} {failing}"
    environment = {"PYTHONPATH": f"{KIT / 'tools'}:{shop.root}"}
    done = shop.with_postgres("--engine", "embedded", "--", "bash", "-c", script, **environment)
    assert 1 == done.returncode, done.stdout + done.stderr
    # pytest puts an E before each line of an error.
    lines = [" ".join(line.split()).removeprefix("E ") for line in done.stdout.splitlines()]
    printed = [line.rpartition("FoundError: ")[2] for line in lines]
    shown = [block for page in PAGES for block in blocks(page, "text") if block.is_run]
    assert len(shown) > 1
    for block in shown:
        for line in block.text.splitlines():
            assert " ".join(line.split()) in printed, f"{line!r} is not in:\n{done.stdout}"
    [replay] = re.findall(r"(?m)^replay: (.*tests/test_pay\.py::test_no_deposit_is_lost .*)$", done.stdout)
    again = shop.run("bash", "-c", replay)
    assert 1 == again.returncode, again.stdout + again.stderr
    assert "schedule: ada*2 bob*4 ada*2" in again.stdout


def test_the_readme_shows_what_the_guide_runs() -> None:
    """Its snippet and its interleaving are those of the guide."""
    guide = (KIT / "tools" / "docs" / "guide" / "several-clients.md").read_text(encoding="utf-8")
    readme = KIT / "README.md"
    found = [*blocks(readme, "python"), *blocks(readme, "text")]
    assert len(found) == 2
    for block in found:
        assert block.text in guide


def test_the_readme_has_at_most_120_lines() -> None:
    assert len((KIT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def commands(page: Path) -> Iterator[str]:
    """Yield the commands of a page."""
    for block in blocks(page, "sh"):
        if block.is_run:
            yield from block.text.splitlines()
    for block in blocks(page, "yaml"):
        yield from re.findall(r"run: (.*)", block.text)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_of_a_page_exist(sandbox: Sandbox, page: Path) -> None:
    """Make knows the target and the knob; a script has the option; pytest's paths are there. `no-run` needs a host."""
    for command in commands(page):
        words = shlex.split(command)
        if words[0] == "make":
            assert set(words[1:2]) <= set(TARGETS), command
            assert {word.partition("=")[0] for word in words[2:]} <= set(KNOBS), command
            done = sandbox.inside(KIT).run("make", "--dry-run", *words[1:])
        else:
            paths = [word for word in words if word.startswith(("tools/", "platform/"))]
            assert [path for path in paths if not (KIT / path).exists()] == [], command
            if "pytest" in words:
                continue  # its options are pytest's own
            done = sandbox.run(*_help_of(words))
            options = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}
            assert [option for option in options if option not in done.stdout] == [], command
        assert 0 == done.returncode, command + done.stdout + done.stderr


def _help_of(words: list[str]) -> list[str | Path]:
    """Return the command that prints the help of the command that is called last, or of Docker and what it runs."""
    if words[0] == "docker":
        within = f"; {PYTHON} -m pgdst {words[words.index(IMAGE) + 1]} --help" if words[1] == "run" else ""
        return ["env", f"PYTHONPATH={KIT / 'tools'}", "bash", "-c", f"docker {words[1]} --help{within}"]
    if "pip" in words:
        return [PYTHON, "-m", "pip", words[words.index("pip") + 1], "--help"]
    if "run-simulation" in words:
        return [PYTHON, KIT / "tools" / "run_simulation.py", "--help"]
    scripts = [word for word in words if word.endswith(".py") and word.startswith("tools/")]
    return [PYTHON, KIT / scripts[0], "--help"] if scripts else [PYTHON, "-c", "0"]


def test_the_configuration_that_is_shown_is_taken(sandbox: Sandbox) -> None:
    """Each block of TOML, in the place of the sandbox's own."""
    found = [block for page in PAGES for block in blocks(page, "toml")]
    assert len(found) > 3
    for block in found:
        text = block.text if "[tool.pgdst]" in block.text else f'[tool.pgdst]\nbackend = "."\n{block.text}'
        assert set(tomllib.loads(text)["tool"]) == {"pgdst"}
        (sandbox.root / "pyproject.toml").write_text(text)
        assert project.load(start=sandbox.root).backend == sandbox.root


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        assert (page.parent / link).exists(), link
