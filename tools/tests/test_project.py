"""[tool.pgdst]: where it is looked for, and what its paths are relative to."""

from pathlib import Path

import pytest
import tiny_backend
from pgdst import project


def write(folder: Path, text: str) -> Path:
    """Write a pyproject.toml into a new folder and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_the_nearest_pyproject_with_a_table_counts(tmp_path: Path) -> None:
    """One without [tool.pgdst] in between is passed over; paths are relative to the file and to the backend."""
    root = write(tmp_path / "app", '[tool.pgdst]\nbackend = "api"\nsimulation = "sim"\n')
    inner = write(root / "api" / "src", "[project]\nname = 'x'\n")
    found = project.load(start=inner)
    assert (root, root / "api", root / "api" / "alembic.ini", root / "api" / "sim") == (
        found.root, found.backend, found.alembic_ini, found.simulation,
    )  # fmt: skip


def test_without_any_the_kits_own_backend_is_meant() -> None:
    """From a folder that is in no project."""
    assert tiny_backend.KIT / "platform" / "backend" == project.load(start=Path("/")).backend


def test_an_option_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every tool does it."""
    write(tmp_path, '[tool.pgdst]\nbackend = "nowhere"\n')
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tmp_path / "here" == project.load(backend=Path("here")).backend


def test_two_checkouts_have_two_names(tmp_path: Path) -> None:
    """So that db-down of one does not remove the other's database."""
    one, two = (write(tmp_path / name, "[tool.pgdst]\n") for name in ("one", "two"))
    assert project.load(start=one).checkout != project.load(start=two).checkout
    assert project.load(start=one).checkout == project.load(start=one).checkout


def test_sql_is_as_ever_unless_a_project_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a run it is what the run's database was made with, wherever a script is called."""
    assert not project.load(start=write(tmp_path / "plain", "[tool.pgdst]\n")).sql_determinism
    found = project.load(start=write(tmp_path / "told", "[tool.pgdst]\nsql_determinism = true\n"))
    assert found.sql_determinism
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    assert project.load(start=tmp_path / "plain").sql_determinism


def test_settings_become_what_postgres_writes(tmp_path: Path) -> None:
    """TOML booleans and numbers included."""
    root = write(tmp_path, "[tool.pgdst.settings]\nmax_connections = 50\njit = true\nwork_mem = '8MB'\n")
    assert {"max_connections": "50", "jit": "on", "work_mem": "8MB"} == project.load(start=root).settings
