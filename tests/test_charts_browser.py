"""The charts of the page in a real browser: values, lines that hide, and a choice of bits."""

import re

import pytest

from results.page.render import page_html
from tests.record_factory import board_of, grid
from tests.test_page_browser import (
    By,
    Keys,
    Select,
    WebDriverWait,
    browser,
    downloads,
    open_browser,
    pytestmark,
)

__all__ = ["browser", "downloads", "pytestmark"]  # fixtures and the skip that are used here too
CUTOFFS = {"n": [1, 10, 100], "precision": [1.0, 0.5, 0.25], "recall": [0.1, 0.5, 0.9]}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    records = [*grid(), *grid(dataset="voc", seeds=2)]
    for record in records:
        if record.method != "random":
            share = 1 if record.bits == 64 else 0.5
            precision = [share * value for value in CUTOFFS["precision"]]
            record.curves["cutoffs"] = CUTOFFS | {"precision": precision}
    path = tmp_path_factory.mktemp("charts") / "index.html"
    path.write_text(page_html(board_of(records), {}))
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    yield browser
    assert browser.get_log("browser") == []


def lines(browser):
    drawn = browser.find_elements(By.CSS_SELECTOR, "#chart > g.line")
    return [line.get_attribute("data-method") for line in drawn]


def choose(browser, name, text):
    Select(browser.find_element(By.ID, name)).select_by_visible_text(text)


def said(browser):
    return browser.find_element(By.ID, "chart-said").get_attribute("textContent")


def path_of(browser, method):
    line = f'#chart > g[data-method="{method}"] .stroke'
    return browser.find_element(By.CSS_SELECTOR, line).get_attribute("d")


def test_a_click_in_the_legend_hides_a_line_and_shows_it_again(opened):
    everyone = ["lsh", "itq", "cibhash", "float", "random"]
    assert lines(opened) == everyone
    button = opened.find_element(By.CSS_SELECTOR, '#chart-legend [data-method="itq"]')
    button.click()
    assert lines(opened) == ["lsh", "cibhash", "float", "random"]
    assert button.get_attribute("aria-pressed") == "false"
    button.send_keys(Keys.SPACE)
    assert lines(opened) == everyone
    opened.find_element(By.ID, "chart-none").click()
    assert lines(opened) == []
    opened.find_element(By.ID, "chart-all").click()
    assert lines(opened) == everyone


def test_hidden_lines_stay_hidden_in_the_next_chart_and_leave_their_room(opened):
    before = path_of(opened, "itq")
    for name in ("random", "float"):
        opened.find_element(By.CSS_SELECTOR, f'#chart-legend [data-method="{name}"]').click()
    assert path_of(opened, "itq") != before
    choose(opened, "c-chart", "Precision of the nearest N")
    assert lines(opened) == ["lsh", "itq", "cibhash"]


def test_the_pointer_shows_the_value_of_the_nearest_point(opened):
    opened.execute_script("document.getElementById('chart').scrollIntoView({block: 'center'})")
    marker = opened.find_elements(By.CSS_SELECTOR, '#chart > g[data-method="itq"] .marker')[1]
    box = opened.find_element(By.ID, "chart-value")
    assert not box.is_displayed()
    move = """
        const [at, kind] = arguments; const box = at.getBoundingClientRect();
        document.getElementById("chart").dispatchEvent(new PointerEvent(kind,
            {clientX: box.x + box.width / 2 + 2, clientY: box.y + box.height / 2}));"""
    opened.execute_script(move, marker, "pointermove")
    assert box.text.splitlines() == ["itq", "32 bits: 0.436 ± 0.004, n = 3"]
    opened.execute_script(move, marker, "pointerleave")
    assert not box.is_displayed()


def test_the_arrow_keys_go_along_a_line_and_to_the_next_aloud(opened):
    chart = opened.find_element(By.ID, "chart")
    chart.send_keys(Keys.ARROW_RIGHT)
    assert said(opened) == "lsh, 16 bits: 0.320 ± 0.004, n = 3"
    chart.send_keys(Keys.ARROW_RIGHT)
    assert said(opened).startswith("lsh, 32 bits: 0.336")
    chart.send_keys(Keys.ARROW_DOWN, Keys.END)
    assert said(opened).startswith("itq, 64 bits: 0.468")
    chart.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.HOME)
    assert said(opened).startswith("random, 16 bits: ")
    assert opened.find_element(By.ID, "chart-value").is_displayed()
    chart.send_keys(Keys.ESCAPE)
    assert not opened.find_element(By.ID, "chart-value").is_displayed()


def test_bits_metric_and_table_can_be_chosen(opened):
    chart = opened.find_element(By.ID, "chart")
    choose(opened, "c-metric", "mAP")
    chart.send_keys(Keys.HOME)
    assert said(opened).startswith("lsh, 16 bits: 0.160")
    choose(opened, "c-chart", "Precision of the nearest N")
    assert not opened.find_element(By.ID, "c-metric").is_displayed()
    chart.send_keys(Keys.END)
    assert said(opened) == "lsh, N = 100: precision 0.250"  # at the longest codes first
    choose(opened, "c-bits", "16 bits")
    chart.send_keys(Keys.END)
    assert said(opened) == "lsh, N = 100: precision 0.125"
    choose(opened, "c-table", "voc / 300-1497 / pixels")
    assert "voc" in chart.get_attribute("aria-label")
    assert Select(opened.find_element(By.ID, "c-bits")).first_selected_option.text == "16 bits"


def test_a_chart_has_its_values_in_a_table_too(opened):
    choose(opened, "c-chart", "Precision against recall, by Hamming radius")
    choose(opened, "c-bits", "16 bits")
    opened.find_element(By.CSS_SELECTOR, "#chart-data summary").click()
    found = (By.CSS_SELECTOR, "#chart-table tbody tr")
    shown = WebDriverWait(opened, 5).until(lambda driver: driver.find_elements(*found))
    shown = [row.text for row in shown]
    assert shown[0] == "lsh radius 0 recall 0.000, precision 1.000"
    assert shown[16] == "lsh radius 16 recall 1.000, precision 0.100"
    opened.find_element(By.CSS_SELECTOR, '#chart-legend [data-method="lsh"]').click()
    assert opened.find_element(By.CSS_SELECTOR, "#chart-table tbody th").text == "itq"


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_chart_fits_and_can_be_read(address, downloads, dark):
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    driver = open_browser(downloads, *flags, width=390, height=844, pixelRatio=2)
    try:
        driver.get(address)
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        letters = driver.find_element(By.CSS_SELECTOR, "#chart text")
        assert float(re.sub("px", "", letters.value_of_css_property("font-size"))) >= 12
        ink = driver.find_element(By.CSS_SELECTOR, "#chart .tick").value_of_css_property("stroke")
        light = sum(map(int, re.findall(r"\d+", ink)[:3])) > 3 * 128
        assert light == dark
        for button in driver.find_elements(By.CSS_SELECTOR, "#chart-legend button"):
            assert button.rect["x"] + button.rect["width"] <= 390
    finally:
        driver.quit()
