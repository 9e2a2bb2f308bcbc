"""The page in a real browser: Debian's chromium, without a window."""

import csv
import json
import shutil
import time

import pytest

from results.figures.by_name import draw
from results.figures.style import inline_svg, save
from results.gallery.view import View
from results.page.render import page_html
from tests.record_factory import board_of, grid, make_record

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(DRIVER is None, reason="chromedriver is not installed")
ROWS = 10_000
READY = "return document.documentElement.dataset.ready"
"""Milliseconds from the start of the navigation until the page answers; the page notes it."""


def open_browser(downloads, *flags, **emulation):
    options = webdriver.ChromeOptions()
    sandbox = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
    for flag in (*sandbox, "--window-size=1280,900", *flags):
        options.add_argument(flag)
    if emulation:
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": emulation})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    driver = open_browser(downloads)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    records = [*grid(), *grid(dataset="cifar10", seeds=2), make_record(method="<b>&amp;", bits=8)]
    records += grid(methods=("lsh",), dataset="cifar10", backbone="zeros", seeds=2)
    board = board_of(records, skipped=["x.json: broken"])
    drawn = list(draw(View(board), "map_against_bits"))
    figures = {d.caption: inline_svg(save(d.figure, "svg"), d.stem, d.caption) for d in drawn}
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page_html(board, figures, ("runs.csv",)))
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the page afresh; afterwards look for errors and for requests that left the file."""
    browser.get(address)
    browser.execute_script("localStorage.clear()")
    browser.get(address)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(address)
    yield browser
    assert browser.get_log("browser") == []
    assert requested(browser) <= {"file", "data", "blob"}


def requested(browser):
    """Schemes of the addresses that the page asked for."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    sent = [m for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {m["params"]["request"]["url"].split(":")[0] for m in sent}


def rows(browser):
    lines = browser.find_elements(By.CSS_SELECTOR, "#rows tr")
    return [[cell.text for cell in line.find_elements(By.CSS_SELECTOR, "th, td")] for line in lines]


def sort_by(browser, column):
    browser.find_element(By.CSS_SELECTOR, f"[data-column={column}]").click()
    return browser.find_element(By.CSS_SELECTOR, f"th:has([data-column={column}])")


def test_sort_by_a_column_both_ways(opened):
    head = sort_by(opened, "mean")
    means = [float(row[2]) for row in rows(opened)]
    assert head.get_attribute("aria-sort") == "descending"
    assert means == sorted(means, reverse=True)
    head = sort_by(opened, "mean")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(row[2]) for row in rows(opened)] == sorted(means)
    other = sort_by(opened, "method")
    assert (head.get_attribute("aria-sort"), other.get_attribute("aria-sort")) == (
        "none",
        "ascending",
    )


def test_filter_to_one_data_set_length_metric_and_method(opened):
    before = len(rows(opened))
    Select(opened.find_element(By.ID, "f-dataset")).select_by_visible_text("cifar10")
    shown = rows(opened)
    assert 0 < len(shown) < before
    assert {row[6].split()[0] for row in shown} == {"cifar10"}
    assert {row[8] for row in shown} == {"mAP@1000"}
    Select(opened.find_element(By.ID, "f-bits")).select_by_visible_text("32 bits")
    Select(opened.find_element(By.ID, "f-metric")).select_by_visible_text("mAP")
    opened.find_element(By.ID, "f-method").send_keys("hash")
    ((method, *_, bits, metric),) = rows(opened)
    assert (method, bits, metric) == ("cibhash", "32", "mAP")
    assert opened.find_element(By.ID, "status").text == "1 entry"
    opened.find_element(By.ID, "f-method").send_keys("nothing")
    assert "loosen a filter" in opened.find_element(By.ID, "status").text
    opened.find_element(By.ID, "clear").click()
    assert len(rows(opened)) == before


def test_filter_to_one_backbone_and_kind(opened):
    Select(opened.find_element(By.ID, "f-backbone")).select_by_visible_text("zeros")
    assert {row[6] for row in rows(opened)} == {"cifar10 300-1497 / zeros"}
    assert len({row[0] for row in rows(opened)}) == 3
    Select(opened.find_element(By.ID, "f-kind")).select_by_visible_text("method")
    assert {row[0] for row in rows(opened)} == {"lsh"}


def test_an_open_record_lives_in_the_address_and_returns_with_it(opened):
    Select(opened.find_element(By.ID, "f-dataset")).select_by_visible_text("digits")
    opened.find_element(By.CSS_SELECTOR, "#rows button").click()
    title, link = opened.find_element(By.ID, "record-title").text, opened.current_url
    assert "record=digits%2F300-1497%2Fpixels%2F" in link
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    WebDriverWait(opened, 5).until(lambda driver: "record=" not in driver.current_url)
    opened.back()
    WebDriverWait(opened, 5).until(lambda d: d.find_element(By.ID, "record").is_displayed())
    opened.back()
    WebDriverWait(opened, 5).until(lambda d: not d.find_element(By.ID, "record").is_displayed())
    opened.get("about:blank")
    opened.get(link)
    assert opened.find_element(By.ID, "record-title").text == title
    assert {row[6].split()[0] for row in rows(opened)} == {"digits"}


def test_filters_live_in_the_address_and_return_with_it(opened, address):
    Select(opened.find_element(By.ID, "f-dataset")).select_by_visible_text("cifar10")
    Select(opened.find_element(By.ID, "f-metric")).select_by_visible_text("empty@H<=2")
    opened.find_element(By.ID, "f-method").send_keys("itq")
    shown, link = rows(opened), opened.current_url
    assert {(row[6].split()[0], row[8]) for row in shown} == {("cifar10", "empty@H<=2")}
    opened.back()
    opened.back()
    WebDriverWait(opened, 5).until(lambda driver: len(rows(driver)) > len(shown))
    assert Select(opened.find_element(By.ID, "f-dataset")).first_selected_option.text == "all"
    opened.get("about:blank")
    opened.get(link)
    WebDriverWait(opened, 10).until(rows)  # the page is drawn after it is loaded
    assert rows(opened) == shown


def test_what_is_better_when_small_stands_smallest_first(opened):
    Select(opened.find_element(By.ID, "f-metric")).select_by_visible_text("empty@H<=2")
    assert sort_by(opened, "mean").get_attribute("aria-sort") == "ascending"


def test_only_what_the_tables_mark_is_shaded(opened):
    Select(opened.find_element(By.ID, "f-metric")).select_by_visible_text("mAP")
    assert "1" in {row[1] for row in rows(opened)}
    assert not opened.find_elements(By.CSS_SELECTOR, "#rows .best")


def test_a_row_opens_its_record_and_gives_the_focus_back(opened):
    button = opened.find_element(By.CSS_SELECTOR, "#rows button")
    button.send_keys(Keys.ENTER)
    text = opened.find_element(By.ID, "record").text
    for part in ("mAP@1000", "seed 1", "fit (s)", "Settings", "epochs", "Versions", "numpy"):
        assert part in text
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not opened.find_element(By.ID, "record").is_displayed()
    assert opened.switch_to.active_element == button


def test_the_theme_follows_the_switch_and_is_remembered(opened, address):
    def paper():
        return opened.execute_script("return getComputedStyle(document.body).backgroundColor")

    switch = opened.find_element(By.ID, "theme")
    before, pressed = paper(), switch.get_attribute("aria-pressed")
    switch.click()
    after = paper()
    assert before != after
    assert switch.get_attribute("aria-pressed") != pressed

    def again():
        opened.get(address)
        return paper()

    # a page's storage reaches the process of the next page a moment after the call that wrote it
    WebDriverWait(opened, 5).until(lambda driver: again() == after)


def test_a_name_with_markup_stays_text(opened):
    methods = {row[0] for row in rows(opened)}
    assert "<b>&amp;" in methods
    assert not opened.find_elements(By.CSS_SELECTOR, "#rows b")


def test_a_figure_zooms_and_returns_to_its_place(opened):
    opened.find_element(By.CSS_SELECTOR, "figcaption button").click()
    drawn = opened.find_element(By.CSS_SELECTOR, "#zoom-stage svg")
    before = drawn.size["width"]
    opened.find_element(By.ID, "zoom-in").click()
    assert drawn.size["width"] > 1.4 * before
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    WebDriverWait(opened, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, ".drawing svg"))


def test_downloads_hold_what_is_shown(opened, downloads):
    Select(opened.find_element(By.ID, "f-dataset")).select_by_visible_text("digits")
    opened.find_element(By.ID, "csv").click()
    opened.find_element(By.ID, "latex").click()
    table, text = (finished(downloads / f"leaderboard.{form}") for form in ("csv", "tex"))
    lines = list(csv.DictReader(table.splitlines()))
    assert len(lines) == len(rows(opened))
    assert {line["dataset"] for line in lines} == {"digits"}
    assert r"\begin{tabular}{lrrrrr}" in text
    assert r"\textless{}b\textgreater{}\&amp;" in text
    assert r"\textbf{0.520 $\pm$ 0.004}" in text


def finished(path):
    for _ in range(50):
        if path.exists():
            return path.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{path.name} was not downloaded")


def test_everything_is_reached_by_the_keyboard(opened):
    opened.switch_to.active_element.send_keys(Keys.TAB)
    skip = opened.switch_to.active_element
    assert skip.text == "Skip to the results"
    reached = set()
    for _ in range(60):
        opened.switch_to.active_element.send_keys(Keys.TAB)
        focused = opened.switch_to.active_element
        reached.add(focused.get_attribute("id") or focused.get_attribute("data-column"))
    assert {"theme", "f-dataset", "f-method", "clear", "csv", "latex", "mean", "rank"} <= reached


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling(address, downloads, dark):
    flags = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    driver = open_browser(downloads, *flags, width=390, height=844, pixelRatio=2)
    try:
        driver.get(address)
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        for table in ("#overview tbody", "#rows"):
            cells = driver.find_elements(By.CSS_SELECTOR, f"{table} tr:first-child > *")
            assert all(cell.rect["x"] + cell.rect["width"] <= 390 for cell in cells[:3])
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def test_ten_thousand_rows_are_interactive_within_three_seconds(browser, tmp_path):
    metrics = {f"P@{n}": 0.1 for n in range(1, 10)} | {"mAP@1000": 0.5}
    records = [
        make_record(
            dataset=f"set{d}", method=f"m{m}", bits=bits, seed=seed, metrics=metrics,
            digest=f"{d:02}{m:02}{bits:03}{seed}" + "0" * 56,
        )
        for d in range(10) for m in range(25) for bits in (16, 32, 64, 128) for seed in range(3)
    ]  # fmt: skip
    board = board_of(records)
    assert len(board.leaderboard) == ROWS
    path = tmp_path / "index.html"
    path.write_text(page_html(board, {}))
    browser.get(path.as_uri())
    ready = WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(READY))
    assert int(ready) < 3000
    assert browser.get_log("browser") == []
    Select(browser.find_element(By.ID, "f-metric")).select_by_visible_text("all")
    assert browser.find_element(By.ID, "status").text == "100 of 10,000 entries shown"
    sort_by(browser, "mean")
