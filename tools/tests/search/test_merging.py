"""tools/merge_searches.py: many folders together. Each shard counts once; what is missing, or differs, is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Sandbox
from pgdst.errors import ConfigurationError
from pgdst.search.folder import Folder, read_shards
from pgdst.search.merging import merge, searches_in
from pgdst.search.report import Report, status_of
from search_folders import FAILURE, IDENTITY, folder_of, line

EVIL = "</script><script>alert(1)</script>"


def missing(*folders: Path) -> list[str]:
    return list(map(str, merge(folders).missing))


def test_no_shard_is_counted_twice(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", *map(line, range(4)), wanted="0-5")
    two = folder_of(tmp_path / "two", *map(line, range(2, 6)), wanted="0-5")
    merged = merge(searches_in([tmp_path, one, two]))
    told = Report(merged).told
    assert (6, 24, {"crash": 6}) == (told["shards"], told["examples"], told["faults"])
    assert [{"name": "vote", "shards": 6, "count": 12, "first": 0}] == told["coverage"]["moves"]
    never, rare = told["coverage"]["states"]
    assert ("never", 0, None) == (never["name"], never["shards"], never["first"])
    assert ("rare", 1, 3) == (rare["name"], rare["shards"], rare["first"])
    assert 0 == status_of(merged, partial=False)


def test_a_shard_with_two_hashes_is_a_determinism_failure_whatever_else_there_is(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", line(0), line(1, wrong=True), wanted="0-5")
    two = folder_of(tmp_path / "two", line(0, digest="f" * 64), wanted="0-5")
    merged = merge([one, two])
    assert 3 == status_of(merged, partial=True)
    [differing] = Report(merged).told["differing"]
    assert (0, "make test-dst SEED=7 SHARD=0") == (differing["shard"], differing["replay"])
    assert {f"{0:064x}": [str(one)], "f" * 64: [str(two)]} == differing["hashes"]
    assert 2 == len(merged.shards)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    """Of a range, those that nobody has; without one, those that a share has left out, and whole shares."""
    one = folder_of(tmp_path / "one", line(0), line(2), line(8), wanted="0-9", share="1/2")
    assert ["1-1", "3-7", "9-9"] == missing(one)
    assert 4 == status_of(merge([one]), partial=False)
    assert 0 == status_of(merge([one]), partial=True)
    wider = folder_of(tmp_path / "wider", line(12), wanted="5-12")
    assert ["1-1", "3-7", "9-11"] == missing(one, wider)

    endless = folder_of(tmp_path / "endless", line(0), line(6), share="1/3")
    merged = merge([endless, folder_of(tmp_path / "third", line(2), share="3/3")])
    assert ["3-3"] == list(map(str, merged.missing))
    assert ["2/3"] == list(map(str, merged.missing_shares))


def test_a_failure_comes_before_what_is_missing(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", line(4), line(1, wrong=True), wanted="0-5")
    two = folder_of(tmp_path / "two", line(0, wrong=True), wanted="0-5")
    merged = merge([one, two])
    assert 1 == status_of(merged, partial=False)
    [failure] = Report(merged).told["failures"]
    assert (FAILURE, 2, [0, 1]) == (failure["id"], failure["count"], failure["shards"])


@pytest.mark.parametrize("other", [{"seed": 8}, {"profile": "quick"}, {"sources": "others"}, {"shards_a_run": 6}])
def test_folders_of_different_searches_are_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    one = folder_of(tmp_path / "one", line(0))
    two = folder_of(tmp_path / "two", identity=replace(IDENTITY, **other))
    with pytest.raises(ConfigurationError, match=f"are different searches: {next(iter(other))} "):
        merge([one, two])


def test_a_last_line_that_is_torn_is_left_out_and_another_is_named(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", line(0))
    with (one / "shards.jsonl").open("a") as file:
        file.write(json.dumps(line(1)))
    assert [0] == [record["shard"] for record in read_shards(one)]
    Folder(one).mend()
    Folder(one).append(line(2))
    assert [0, 2] == [record["shard"] for record in read_shards(one)]
    with (one / "shards.jsonl").open("a") as file:
        file.write('{"shard": -1}\n')
    with pytest.raises(ConfigurationError, match=r"Line 3 of .* is not that of a shard"):
        merge([one])


@pytest.mark.parametrize(
    "odd",
    [{"seed": 9}, {"index": 3}, {"failure": "../../etc"}, {"hash": 7}, {"faults": {"crash": "x"}}, {"states": []}],
)
def test_a_line_that_cannot_be_right_is_refused(tmp_path: Path, odd: dict[str, Any]) -> None:
    one = folder_of(tmp_path / "one", line(0) | odd)
    with pytest.raises(ConfigurationError, match=r"is not that of a shard|seed and index of another"):
        merge([one])


def test_the_report_is_one_page_that_takes_nothing_for_its_own_code(tmp_path: Path, sandbox: Sandbox) -> None:
    """What a failure says stands in it as text."""
    one = folder_of(tmp_path / "one", line(1, wrong=True), wanted="0-2")
    failure = {"seed": 7, "shard": 1, "profile": None, "examples": None, "faults": "all", "wrong": f"{EVIL}\x1b[2J"}
    run = {"test": EVIL, "clients": [], "steps": [], "transactions": [], "code": {}, "schedule": "", "happened": ""}
    report = {"check": "check", "code": "a.py:1", "lanes": "ada  bob", "run": run}
    Folder(one).keep(FAILURE, {".json": json.dumps(failure), ".report.json": json.dumps(report)})
    done = sandbox.script("merge_searches.py", one, "--to=merged", GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert 1 == done.returncode, done.stderr
    page = (sandbox.root / "merged" / "report.html").read_text()
    assert EVIL not in page + (sandbox.root / "merged" / "failures" / f"{FAILURE}.html").read_text()
    assert "ada  bob" in page
    told = json.loads((sandbox.root / "merged" / "report.json").read_text())
    assert f"failures/{FAILURE}.html" == told["failures"][0]["page"]
    assert "- missing shards: 0, 2\n" in done.stdout
    assert "\x1b" not in done.stdout + page
    assert done.stdout == (tmp_path / "summary").read_text()
    assert str(sandbox.root / "merged" / "report.html") in done.stderr


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no search in"):
        searches_in([tmp_path])
