"""The page, in Chromium with a fake microphone: record, or pick a file, and see the verdict."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from audiomatch.inputs import open_data

# Which part of the speech is recorded, and so how loud it is, is chance.
VERDICTS = ("? Listen: not sure, a person should hear it", "– No speech: nobody speaks in the clip")
pytestmark = pytest.mark.browser


@pytest.fixture
def browser(chromium, tmp_path, helpers):
    """Give a browser whose microphone hears speech."""
    heard = tmp_path / "microphone.wav"
    heard.write_bytes(helpers.speech(0.75, rate=48_000))
    return chromium(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
        "--window-size=1000,1000",
    )


def test_a_text_is_read_aloud_and_judged(browser, model, helpers, tmp_path):
    def find(name):
        return browser.find_element(By.ID, name)

    def wait(condition):
        WebDriverWait(browser, 30, 0.05).until(lambda _: condition())

    def state():
        return browser.find_element(By.TAG_NAME, "body").get_attribute("data-state")

    with helpers.serving(model) as address:
        browser.get(address)
        wait(lambda: state() == "idle")
        assert "not kept" in find("privacy").text
        find("text").clear()
        find("text").send_keys("the little dog ran")
        find("record").click()
        wait(lambda: state() == "recording" and float(find("level").get_attribute("value")) > 0.1)
        assert find("record-label").text == "Stop and judge"
        wait(lambda: "0:00" not in find("time").text)
        find("record").click()

        wait(lambda: state() == "done")
        assert find("verdict").text in VERDICTS
        assert 0.05 < float(find("p-match-text").text) <= 1
        items = browser.find_elements(By.CSS_SELECTOR, "#words li")
        assert [item.get_attribute("class") for item in items] == ["said", "said", "off", "said"]
        assert "✗" in items[2].text and "heard “cat”" in items[2].text
        seconds = float(find("facts").text.split()[0])
        assert 0.5 < seconds < 10

        clips = open_data("mini-screener", labelled=False).clips
        find("file").send_keys(str(clips.paths[0]))
        wait(lambda: state() == "done" and not find("facts").text.startswith(f"{seconds:.1f} s"))

        find("text").clear()
        find("text").send_keys("refused")
        find("again").click()
        wait(lambda: state() == "error")
        assert find("error").text == "the text cannot be read by this matcher"
        problems = [line["message"] for line in browser.get_log("browser")]
        assert all("422" in line for line in problems), problems
