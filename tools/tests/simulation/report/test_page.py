"""The page of a failed run, in a real Chromium: what it shows, and how it is used by mouse and keyboard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contrasts import CONTRASTS
from pgdst.database.databases import Databases
from pgdst.simulation.explore.explore import FoundError, explore
from pgdst.simulation.faults.kinds import Fault
from pgdst.simulation.report.record import in_a_page, record
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.long  # `make test-all` installs the browser

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO accounts VALUES (1, 0), (2, 0);
"""


def deposit(engine: Engine) -> None:
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT balance FROM accounts WHERE id = 1"))
        connection.execute(text("UPDATE accounts SET balance = :new WHERE id = 1"), {"new": found + 1})


def lock(engine: Engine, first: int, second: int) -> None:
    with engine.begin() as connection:
        for number in (first, second):
            connection.execute(text("UPDATE accounts SET balance = balance + 1 WHERE id = :id"), {"id": number})


def charge(engine: Engine) -> None:
    """Add one, and again if it seems to have failed."""

    def add() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE accounts SET balance = balance + 1 WHERE id = 1"))

    try:
        add()
    except DBAPIError:
        add()


def balance(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT balance FROM accounts WHERE id = 1")))


LOST_UPDATE = {"clients": {"ada": deposit, "bob": deposit}, "check": lambda connection: balance(connection) == 2}
DEADLOCK = {
    "clients": {"ada": lambda engine: lock(engine, 1, 2), "bob": lambda engine: lock(engine, 2, 1)},
    "check": lambda _connection: True,
}
AMBIGUOUS = {
    "clients": {"ada": charge},
    "check": lambda connection: balance(connection) < 2,
    "faults": "each",
    "kinds": (Fault.COMMIT_DONE,),
}


@pytest.fixture
def shown(lent_databases: Databases, browser: webdriver.Chrome, tmp_path: Path) -> Any:
    """Open the page of what explore finds."""

    def show(**options: Any) -> FoundError:
        with lent_databases.lend() as url, pytest.raises(FoundError) as found:
            explore(create_engine(url), **options)
        page = tmp_path / "page.html"
        told = {"test": "tests/test_it.py::test_it", "wrong": found.value.wrong, "replay": "pytest it"}
        page.write_text(in_a_page(told | record(found.value.result)))
        browser.get(f"file://{page}")
        return found.value

    return show


def one(browser: webdriver.Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def steps(browser: webdriver.Chrome) -> list[WebElement]:
    return browser.find_elements(By.CLASS_NAME, "step")


def chosen(browser: webdriver.Chrome) -> int:
    """Return the place of the step that is chosen, and check that the slider agrees."""
    [place] = [at for at, step in enumerate(steps(browser)) if step.get_attribute("aria-current")]
    assert str(place) == one(browser, "#slider").get_property("value")
    return place


def test_lanes_transactions_values_and_code(browser: webdriver.Chrome, shown: Any) -> None:
    found = shown(**LOST_UPDATE)
    assert "ada read accounts at step 2 (balance=0)" in one(browser, "#happened").text
    assert str(found.schedule) == one(browser, "#schedule").text
    told = steps(browser)
    assert len(found.result.steps) == len(told)
    reading = told[1]
    assert "SELECT balance FROM accounts WHERE id = 1\nbalance=0" == reading.text
    assert "balance\n0" == reading.get_attribute("title")  # shown beside the mouse
    reading.click()
    detail = one(browser, "#detail").text
    assert "in deposit" in detail
    assert "connection.scalar(" in one(browser, "#detail .here").text
    # Each client has a column, and each transaction a band around its steps.
    left = {step.client: told[at].rect["x"] for at, step in enumerate(found.result.steps)}
    assert left["ada"] < left["bob"]
    bands = browser.find_elements(By.CLASS_NAME, "committed")
    assert len(bands) == 2
    assert bands[0].rect["y"] <= reading.rect["y"] < bands[0].rect["y"] + bands[0].rect["height"]
    assert [] == browser.find_elements(By.CSS_SELECTOR, "#arcs path")


def test_a_wait_is_an_arc_from_who_waits_to_who_ends_the_wait(browser: webdriver.Chrome, shown: Any) -> None:
    found = shown(**DEADLOCK)
    arcs = browser.find_elements(By.CSS_SELECTOR, "#arcs path")
    assert ["bob waits for ada", "ada waits for bob"] == [arc.get_attribute("aria-label") for arc in arcs]
    at = next(at for at, step in enumerate(found.result.steps) if step.waits_for)
    waiting = steps(browser)[at].rect
    assert waiting["y"] <= arcs[0].rect["y"] + arcs[0].rect["height"]
    assert arcs[0].rect["x"] <= waiting["x"] <= arcs[0].rect["x"] + arcs[0].rect["width"] + 1
    failing = browser.find_elements(By.CSS_SELECTOR, ".step.fails")
    assert any("40P01 deadlock detected" in step.text for step in failing)


def test_a_fault_is_seen(browser: webdriver.Chrome, shown: Any) -> None:
    shown(**AMBIGUOUS)
    assert "⚡ commit-done" == one(browser, ".step.fault").text


def test_the_slider_shows_the_run_up_to_a_step(browser: webdriver.Chrome, shown: Any) -> None:
    found = shown(**LOST_UPDATE)
    last = len(found.result.steps) - 1
    assert last == chosen(browser)
    slider = one(browser, "#slider")
    for _ in range(last - 1):
        slider.send_keys(Keys.ARROW_LEFT)
    assert chosen(browser) == 1
    assert last - 1 == len(browser.find_elements(By.CSS_SELECTOR, ".step.later"))
    assert "bob: has not begun" in one(browser, "#where").text
    browser.execute_script("document.activeElement.blur()")
    body = one(browser, "body")
    for key, place in (("j", 2), (Keys.ARROW_DOWN, 3), ("k", 2), (Keys.HOME, 0), (Keys.ARROW_UP, 0), (Keys.END, last)):
        body.send_keys(key)
        assert place == chosen(browser)
    # Without a mouse: the steps are buttons in the order of the run.
    steps(browser)[0].send_keys(Keys.ENTER)
    assert chosen(browser) == 0
    steps(browser)[0].send_keys(Keys.TAB, Keys.ENTER)
    assert chosen(browser) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(browser: webdriver.Chrome, shown: Any, scheme: str) -> None:
    """Its contrast is at least 4.5, as WCAG 2.1 wants it."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    shown(**DEADLOCK)
    found: dict[str, float] = browser.execute_script(CONTRASTS)
    assert len(found) > 5
    assert {} == {where: contrast for where, contrast in found.items() if contrast < 4.5}
    color = browser.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    is_dark = sum(map(int, color[:3])) < 3 * 128
    assert (scheme == "dark") is is_dark


def test_nothing_is_loaded_and_nothing_goes_wrong(browser: webdriver.Chrome, shown: Any) -> None:
    log: Callable[[str], list[dict[str, str]]] = browser.get_log  # it has no types
    log("performance"), log("browser")  # those of other tests
    shown(**LOST_UPDATE)
    asked = [entry["message"] for entry in log("performance") if "requestWillBeSent" in entry["message"]]
    assert len(asked) == 1
    assert "file:///" in asked[0]
    assert [] == [entry for entry in log("browser") if entry["level"] == "SEVERE"]


def test_a_narrow_window_needs_no_scrolling_to_the_side(browser: webdriver.Chrome, shown: Any) -> None:
    browser.set_window_size(520, 800)
    try:
        shown(**LOST_UPDATE)
        width = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
        assert width <= 0
    finally:
        browser.set_window_size(1400, 900)
