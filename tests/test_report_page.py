"""The report in Chromium: read, sorted, filtered, played, on narrow and wide screens."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

import audiomatch
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.tables import write_explanations
from audiomatch.inputs import open_data
from audiomatch.report import write_report
from audiomatch.report.words import EXPLANATIONS
from audiomatch.scoring import build_leaderboard
from tests.conftest import write_corpus
from tests.test_report import NASTY, made, record

pytestmark = pytest.mark.browser
CLIPS = 36
WIDTHS = (400, 1280)
# Pictures are told by their label; what is in them axe cannot judge, and takes long over. It does
# not know color-mix(), by which the cells of a matrix are tinted: `CONTRAST` looks at these.
SCOPE = '{exclude: [["[data-chart] svg"], ["table.matrix td"]]}'
KINDS = '{resultTypes: ["violations"]}'
# The least contrast (WCAG 2) of text on the darkest tint that there is, as the browser paints both.
CONTRAST = """
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (...colours) => {
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = getComputedStyle(document.body).backgroundColor;
  const cells = [...document.querySelectorAll("table.matrix td:has(small)")];
  return Math.min(...cells.flatMap((cell) => {
    cell.style.setProperty("--tint", "16%");
    const ground = light(back, getComputedStyle(cell).backgroundColor);
    return [cell, ...cell.children].map((one) => {
      const [low, high] = [ground, light(getComputedStyle(one).color)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    });
  }));
"""
AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser(chromium):
    return chromium()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the report of a run on clips that can be heard."""
    place = tmp_path_factory.mktemp("report")
    manifest = write_corpus(place / "data", CLIPS)
    clips = open_data(manifest, labelled=True).clips
    predictions, results = made(("whisper", "tower", "base-rate"), n=CLIPS, speaker="s1")
    names = dict(zip(sorted(set(predictions.id)), clips.ids, strict=True))
    predictions["id"] = predictions["id"].map(names)
    predictions["expected_text"] = predictions["id"].map(lambda name: f"{NASTY} {name}")
    board = build_leaderboard(predictions, results)
    folder = place / "runs" / "run"
    folder.mkdir(parents=True)
    worst = predictions[predictions["matcher"] == "whisper"]
    texts = dict(zip(worst["id"], worst["expected_text"], strict=True))
    write_explanations(folder / EXPLANATIONS, [explained(*one) for one in texts.items()])
    write_report(folder, board, predictions, record(results), clips)
    return folder / "report.html"


def explained(name, text):
    """Return what a matcher that hears "moon" in the place of the first word says of a clip."""
    words = [
        WordEvidence(word, 0.02 if i == 0 else 0.97, -0.1, i / 4, i / 4 + 0.2, (),
                     "moon" if i == 0 else word, "")
        for i, word in enumerate(text.split())
    ]  # fmt: skip
    return Explanation(name, text, 0.1, f"moon {NASTY}", tuple(words))


@pytest.fixture
def page(browser, written):
    """Open the report; gives the browser."""
    browser.get(written.as_uri())
    return browser


def find(browser, name):
    return browser.find_element(By.ID, name)


def wait(browser, condition):
    WebDriverWait(browser, 20, 0.05).until(lambda _: condition())


def listed(browser):
    """Return the cells of the listed clips."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#clip-table tbody tr')].map("
        "row => [...row.cells].map(cell => cell.textContent))"
    )


def sort_by(browser, key):
    browser.find_element(By.CSS_SELECTOR, f"[data-key={key}] button").send_keys(Keys.ENTER)


def test_clips_are_sorted_filtered_and_played(page):
    errors = [float(row[6]) for row in listed(page)]
    assert len(errors) == 25 and errors == sorted(errors, reverse=True)
    assert NASTY in listed(page)[0][2], "a text is shown as it is"
    find(page, "more").send_keys(Keys.ENTER)
    assert len(listed(page)) == CLIPS and not find(page, "more").is_displayed()

    sort_by(page, "p")
    assert [row[5] for row in listed(page)] == sorted((r[5] for r in listed(page)), reverse=True)
    sort_by(page, "p")
    head = page.find_element(By.CSS_SELECTOR, "[data-key=p]")
    assert head.get_attribute("aria-sort") == "ascending"
    low = listed(page)[0][5]

    Select(find(page, "of-matcher")).select_by_visible_text("base-rate")
    assert listed(page)[0][5] != low
    Select(find(page, "of-label")).select_by_visible_text("match")
    Select(find(page, "of-task")).select_by_visible_text("blending")
    find(page, "p-from").send_keys("0.5")
    shown = listed(page)
    assert shown and all(float(row[5]) >= 0.4995 for row in shown)
    assert {(row[3], row[4]) for row in shown} == {("blending", "match")}
    find(page, "of-text").send_keys(shown[0][1])
    assert [row[1] for row in listed(page)] == [shown[0][1]]
    assert find(page, "counted").text == "1 of 1 clips shown"

    button = page.find_element(By.CSS_SELECTOR, "#clip-table .play")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "true"
    wait(page, lambda: button.get_attribute("aria-pressed") == "false")
    assert find(page, "sound-problem").text == "", "it was played to its end"
    assert requests_of(page) <= {"file", "data"}


def test_the_words_of_a_clip_are_shown_with_what_was_heard(page):
    details = page.find_element(By.CSS_SELECTOR, "#clip-table tbody details")
    details.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    first, second = details.find_elements(By.TAG_NAME, "li")[:2]
    clip = listed(page)[0][2]
    assert first.text.split("\n") == [NASTY.split()[0], "0.02 · 0.00–0.20 s", "heard: moon"]
    assert second.text.endswith("0.97 · 0.25–0.45 s"), "as the text says it"
    assert NASTY in clip and f"Heard in all: moon {NASTY}" in details.text
    assert first.value_of_css_property("background-color") == "rgba(214, 99, 7, 1)"
    assert requests_of(page) <= {"file", "data"}


def test_any_two_matchers_can_be_compared(page):
    assert find(page, "pair-words").text.startswith("whisper less tower (scratch): −")
    Select(find(page, "pair-a")).select_by_value("tower")
    Select(find(page, "pair-b")).select_by_value("whisper")
    assert find(page, "pair-words").text.startswith("tower (scratch) less whisper: +")
    marks = "[data-chart=pair] .mark-symbol path"
    wait(page, lambda: len(page.find_elements(By.CSS_SELECTOR, marks)) == CLIPS)
    Select(find(page, "pair-b")).select_by_value("tower")
    assert find(page, "pair-words").text == "These are one matcher."
    assert requests_of(page) <= {"file", "data"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_in_the_light_and_in_the_dark(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    for width in WIDTHS:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        page.execute_script("dispatchEvent(new Event('beforeprint'))")
        charts = page.find_elements(By.CSS_SELECTOR, "[data-chart]")
        drawn = "return document.querySelectorAll('[data-chart] svg .mark-group').length"
        wait(page, lambda: page.execute_script(drawn) >= len(charts))  # noqa: B023
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        page.execute_script(AXE)
        found = page.execute_async_script(f"axe.run({SCOPE}, {KINDS}).then(arguments[0])")
        assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
        assert [one["message"] for one in found["incomplete"] if one.get("error")] == []
    assert 4.5 <= page.execute_script(CONTRAST) < 21
    regions = page.find_elements(By.CSS_SELECTOR, "[role=region]")
    assert len(regions) == len(page.find_elements(By.TAG_NAME, "table"))
    for region in regions:
        region.send_keys(Keys.ARROW_RIGHT)
        assert page.switch_to.active_element == region
    assert requests_of(page) <= {"file", "data"}


def requests_of(browser):
    """Return how the page asked for something, once it is known to have had no error."""
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        event["params"]["request"]["url"].partition(":")[0]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and event["params"]["documentURL"].startswith("file:")
    }


def test_what_bench_writes_can_be_heard(tmp_path):
    manifest = write_corpus(tmp_path / "data", CLIPS)
    folder = tmp_path / "runs" / "run"
    how = {"folds": 2, "floors": "prior", "executor": "inline"}
    audiomatch.compare(manifest, "base-rate", out=folder, **how)
    page = (folder / "report.html").read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    rows = data["clips"]["rows"]
    assert all(row["link"].startswith("../../data/") for row in rows)
    assert 0 < np.sum([bool(row["sound"]) for row in rows]) <= CLIPS
    assert str(tmp_path) not in page


@pytest.fixture
def run_folder(tmp_path):
    """Return the run of `$AUDIOMATCH_REPORT_RUN`, else one on the corpus that ships."""
    named = os.environ.get("AUDIOMATCH_REPORT_RUN")
    if named:
        return Path(named).resolve()
    audiomatch.compare(
        "mini-screener", "ensemble@members=(prior,pace)", folds=2, limit=60, floors="base-rate",
        out=tmp_path, executor="inline", cache=tmp_path / "cache",
    )  # fmt: skip
    return tmp_path


def test_a_run_is_read_sorted_filtered_and_played_without_an_error(browser, run_folder):
    browser.get((run_folder / "report.html").as_uri())
    chosen = Select(find(browser, "of-matcher"))
    errors = [float(row[6]) for row in listed(browser)]
    assert errors and errors == sorted(errors, reverse=True)

    button = browser.find_element(By.CSS_SELECTOR, "#clip-table .play")
    button.send_keys(Keys.ENTER)
    wait(browser, lambda: button.get_attribute("aria-pressed") == "false")
    assert find(browser, "sound-problem").text == ""

    chosen.select_by_index(len(chosen.options) - 1)
    tasks = Select(find(browser, "of-task")).options[1:]
    task = tasks[0].text if find(browser, "of-task").is_displayed() else None
    if task is not None:
        Select(find(browser, "of-task")).select_by_visible_text(task)
    Select(find(browser, "of-label")).select_by_visible_text("mismatch")
    sort_by(browser, "p")
    shown = listed(browser)
    assert shown and {row[4] for row in shown} == {"mismatch"}
    assert task is None or {row[3] for row in shown} == {task}
    found = [float(row[5]) for row in shown]
    assert found == sorted(found, reverse=True)
    assert requests_of(browser) <= {"file", "data"}
