"""The identity of the sources that decide a run."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import KIT
from pgdst import project
from pgdst.errors import ConfigurationError
from pgdst.search.sources import sources


def test_caches_and_hidden_folders_do_not_count_and_sources_do(tmp_path: Path) -> None:
    found = replace(project.load(start=KIT), backend=tmp_path, simulation=tmp_path)
    (tmp_path / "main.py").write_text("1")
    first = sources(found)
    for folder in (".hidden", "__pycache__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "other.py").write_text("2")
    assert first == sources(found)
    (tmp_path / "main.py").write_text("2")
    assert first != sources(found)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    found = replace(project.load(start=KIT), simulation=tmp_path / "gone")
    with pytest.raises(ConfigurationError, match=r"A source of the run cannot be read: .*gone"):
        sources(found)
