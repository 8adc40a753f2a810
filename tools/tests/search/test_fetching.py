"""tools/fetch_failures.py: of what was downloaded, only numbers and words of the right kind are kept."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pgdst.errors import ConfigurationError
from pgdst.pytest.failures import kept
from pgdst.search.fetching import fetch
from pgdst.search.kept import MOST_BYTES

FAILURE = {"seed": 8, "shard": 3, "profile": "quick", "examples": None, "faults": "all", "wrong": "one too many"}
NAME = "0123456789ab.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """An artefact with one failure."""
    made = tmp_path / "downloaded" / "share 1" / "failures"
    made.mkdir(parents=True)
    (made / NAME).write_text(json.dumps(FAILURE))
    return made


def written(root: Path) -> list[str]:
    return sorted(
        str(file.relative_to(root)) for file in root.rglob("*") if file.name != ".gitignore" and file.is_file()
    )


def test_a_failure_is_kept_as_one_of_this_checkout(root: Path, downloaded: Path) -> None:
    (downloaded / "0123456789ab.report.json").write_text("{}")
    (downloaded / "0123456789ab.html").write_text("<script>")
    (downloaded / "conftest.py").write_text("raise SystemExit")
    [(file, failure)] = list(fetch(downloaded.parent.parent, root))
    assert [".pgdst/failures/8-3.json"] == written(root)
    assert [(file, failure)] == list(kept(root))
    assert [(file, failure)] == list(fetch(downloaded.parent, root))


@pytest.mark.parametrize(
    "odd",
    [
        {"seed": "8"},
        {"seed": -1},
        {"seed": True},
        {"seed": 2**63},
        {"shard": "../../x"},
        {"profile": "x\n--collect-only"},
        {"profile": "x" * 101},
        {"examples": 0},
        {"faults": "every"},
        {"wrong": ""},
        {"wrong": ["x"]},
        {"wrong": "x" * 200_001},
        {"command": "rm"},
    ],
    ids=lambda odd: str(odd)[:30],
)
def test_what_cannot_be_a_failure_is_refused_and_nothing_is_written(
    root: Path, downloaded: Path, odd: dict[str, Any]
) -> None:
    (downloaded / "aaaaaaaaaaaa.json").write_text(json.dumps(FAILURE | odd))
    with pytest.raises(ConfigurationError, match=r"aaaaaaaaaaaa\.json is no failure of a search"):
        list(fetch(downloaded, root))
    assert [] == written(root)


@pytest.mark.parametrize("content", [b"[1]", b"\xff", b"{", b"[" * 100_000, b" " * (MOST_BYTES + 1)], ids=range(5))
def test_a_file_that_is_something_else_is_named(root: Path, downloaded: Path, content: bytes) -> None:
    (downloaded / NAME).write_bytes(content)
    with pytest.raises(ConfigurationError, match=NAME):
        list(fetch(downloaded, root))


def test_no_symbolic_link_and_nothing_but_a_file_is_read(root: Path, downloaded: Path, tmp_path: Path) -> None:
    """Neither a link to a file, nor one to a folder, nor a pipe, which would never end."""
    elsewhere = tmp_path / "elsewhere" / "failures"
    elsewhere.mkdir(parents=True)
    (elsewhere / NAME).write_text(json.dumps(FAILURE | {"seed": 9}))
    (downloaded / "linked").symlink_to(elsewhere)
    (downloaded.parent / "linked").symlink_to(elsewhere.parent)
    assert 1 == len(list(fetch(downloaded.parent, root)))
    (downloaded / "aaaaaaaaaaaa.json").symlink_to(elsewhere / NAME)
    with pytest.raises(ConfigurationError, match=r"aaaaaaaaaaaa\.json cannot be read"):
        list(fetch(downloaded, root))
    (downloaded / "aaaaaaaaaaaa.json").unlink()
    os.mkfifo(downloaded / "aaaaaaaaaaaa.json")
    with pytest.raises(ConfigurationError, match=r"aaaaaaaaaaaa\.json"):
        list(fetch(downloaded, root))


def test_a_text_cannot_command_the_terminal(root: Path, downloaded: Path) -> None:
    (downloaded / NAME).write_text(json.dumps(FAILURE | {"wrong": "\x1b]0;title\x07\r\u202ewrong"}))
    [(_file, failure)] = list(fetch(downloaded, root))
    assert "\ufffd]0;title\ufffd\ufffd\ufffdwrong" == failure.wrong


def test_where_there_is_nothing_it_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There are no failures in"):
        list(fetch(tmp_path, root))
