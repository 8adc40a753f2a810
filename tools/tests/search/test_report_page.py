"""The page of a merged search in a real Chromium: what it shows, in both schemes, and that it loads nothing."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from contrasts import CONTRASTS
from pgdst.search.folder import Folder
from pgdst.search.merging import merge
from pgdst.search.report import Report
from search_folders import FAILURE, folder_of, line

if TYPE_CHECKING:
    from selenium import webdriver

pytestmark = pytest.mark.long  # `make test-all` installs the browser

WRONG = "votes: expected 2, found 1"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page of a search with a failure, a shard that differs, and one that is missing."""
    one = folder_of(tmp_path / "one", line(0), line(1, wrong=True), line(3), wanted="0-5")
    two = folder_of(tmp_path / "two", line(0, digest="f" * 64), line(5), wanted="0-5")
    failure = {"seed": 7, "shard": 1, "profile": None, "examples": None, "faults": "all", "wrong": WRONG}
    report = {"lanes": "step  ada  bob\n   1  begins", "happened": "ada read it, bob changed it.", "code": "votes.py:3"}
    Folder(one).keep(FAILURE, {".json": json.dumps(failure), ".report.json": json.dumps(report)})
    Report(merge([one, two])).write(tmp_path / "merged")
    return tmp_path / "merged" / "report.html"


def test_the_page_says_what_was_found(browser: "webdriver.Chrome", page: Path) -> None:
    browser.get(f"file://{page}")
    text = browser.find_element("tag name", "body").text
    for part in ("Distinct failures: 1; shards that differ: 1", "Missing shards: 2, 4", f"{WRONG} (1 shard, first 1)"):
        assert part in text
    for details in browser.find_elements("css selector", "details:not([open]) > summary"):
        details.click()
    text = browser.find_element("tag name", "body").text
    for part in ("SHARD=1", "ada read it, bob changed it.", "step  ada  bob", "votes.py:3", "crash", "rare", "never"):
        assert part in text
    assert [] == [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]  # selenium's


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_can_be_read_in_both_schemes(browser: "webdriver.Chrome", page: Path, scheme: str) -> None:
    """Its contrast is at least 4.5, as WCAG 2.1 wants it."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"file://{page}")
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found: dict[str, float] = browser.execute_script(CONTRASTS)
    assert len(found) > 5
    assert {} == {where: contrast for where, contrast in found.items() if contrast < 4.5}
