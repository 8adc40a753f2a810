"""What a migration run has read is noted, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import KIT, PYTHON, Sandbox
from pgdst import manifest

ENV = """
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda number: Path(f"threads/{number}").read_text(), range(20)))
Path(os.environ["TINY_IN_MEMORY"]).read_text()
asked = os.environ.get("TINY_ASKED"), os.getenv("TINY_ABSENT"), "TINY_IN" in os.environ, dict(os.environ)
os.listdir("data")
Path("written.txt").write_text(Path("read.txt").read_text())
"""


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A file on the RAM disk, where a CI may have its checkout."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108  Linux's
        (Path(folder) / "file").write_text("something")
        yield Path(folder) / "file"


def test_files_folders_and_variables_are_noted(sandbox: Sandbox, in_memory: Path) -> None:
    """By any thread; sources for compiled modules, links by their names; no packages, nothing written or copied."""
    env = sandbox.root / "migrations" / "env.py"
    env.write_text(ENV + env.read_text())
    (sandbox.root / "data").mkdir()
    (sandbox.root / "threads").mkdir()
    for number in range(20):
        (sandbox.root / "threads" / str(number)).write_text("x" * 1_000_000)
    (sandbox.root / "behind.txt").write_text("something")
    (sandbox.root / "read.txt").symlink_to("behind.txt")
    program = (PYTHON, KIT / "tools" / "migrate.py", "--manifest", sandbox.scratch / "manifest.json")
    done = sandbox.with_postgres(
        "--snapshot", "off", "--", *program, TINY_ASKED="yes", TINY_UNASKED="no", TINY_IN_MEMORY=str(in_memory)
    )
    assert 0 == done.returncode, done.stderr
    noted = json.loads((sandbox.scratch / "manifest.json").read_text())
    here = sandbox.root.resolve()
    names = {str(Path(path).relative_to(here)) for path in noted["files"] if Path(path).is_relative_to(here)}
    expected = {
        "alembic.ini",
        "pyproject.toml",
        "migrations/env.py",
        "migrations/versions/0001_things.py",
        "read.txt",
        "tables.py",
    }
    assert expected | {f"threads/{number}" for number in range(20)} == names
    assert str(in_memory) in noted["files"]
    assert {str(here / "data"), str(here / "migrations" / "versions")} <= set(noted["folders"])
    assert {"TINY_ASKED", "TINY_ABSENT", "TINY_IN", "TINY_IN_MEMORY"} == set(noted["variables"])
    assert not [path for path in noted["files"] if "site-packages" in path or str(KIT / "tools") in path]
    assert "0001_things" == noted["head"]


def test_a_manifest_holds_until_something_changes(tmp_path: Path) -> None:
    """Each file, folder and variable counts; caches and hidden files do not."""
    file = tmp_path / "file"
    file.write_text("1")
    missing = str(tmp_path / "missing")
    made = manifest.Manifest(
        "head",
        {str(file): manifest.file_state(str(file)), missing: manifest.file_state(missing)},
        {str(tmp_path): manifest.folder_state(str(tmp_path))},
        {"TINY_ABSENT": manifest.variable_state("TINY_ABSENT")},
    )
    assert made.is_current()
    assert made == manifest.from_json(made.to_json())
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / ".hidden").touch()
    assert made.is_current()
    (tmp_path / "new").touch()
    assert not made.is_current()
    (tmp_path / "new").unlink()
    file.write_text("2")
    assert not made.is_current()
    assert manifest.from_json("{}") is None
