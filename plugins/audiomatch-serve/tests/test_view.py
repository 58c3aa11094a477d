"""`audiomatch view`: the report of a run, with every clip to be heard."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager

import pandas as pd
import pytest
import soundfile
import uvicorn
from audiomatch_serve.command import view
from audiomatch_serve.server import listen
from audiomatch_serve.settings import Settings
from audiomatch_serve.viewing import opened_clips, view_app
from click.testing import CliRunner
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from starlette.testclient import TestClient

import audiomatch
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.tables import write_explanations
from audiomatch.records import RunRecord

SMALL = {"folds": 2, "floors": "prior", "limit": 30, "executor": "inline"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Give the folder of a run on a few clips of mini-screener."""
    place = tmp_path_factory.mktemp("run")
    how = {**SMALL, "cache": place / "cache"}
    done = audiomatch.compare("mini-screener", "base-rate", out=place / "run", **how)
    first = done.predictions.iloc[0]
    word = WordEvidence(first["expected_text"], 0.25, -1.4, 0.0, 0.5, (), "", "")
    one = Explanation(first["id"], word.word, 0.5, "something else", (word,))
    write_explanations(place / "run" / "explanations.jsonl", [one])
    return place / "run"


@pytest.fixture
def app(run, tmp_path):
    record = RunRecord.read(run / "run.json")
    clips = opened_clips(record, None)
    return view_app(run, clips, record, Settings(hosts=("localhost",)), tmp_path / "labels.csv")


def test_only_clips_of_the_data_are_given_and_only_by_our_name(app, tmp_path):
    labels = tmp_path / "labels.csv"
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        page = client.get("/")
        assert (
            page.status_code == 200
            and "default-src 'none'" in page.headers["content-security-policy"]
        )
        assert '"heard":"something else"' in page.text, "what is known of a clip's words"
        samples, rate = soundfile.read(io.BytesIO(client.get("/clips/0").content))
        assert rate == 16_000 and len(samples) > 1000
        for path in ("/clips/100000", "/clips/-1"):
            assert client.get(path).status_code == 404
        for path in ("/clips/..%2f..%2fetc%2fpasswd", "/clips/x"):
            assert client.get(path).status_code in (404, 422)
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        other = {"origin": "http://evil.example"}
        assert client.get("/clips/0", headers=other).status_code == 403
        assert client.put("/labels/0", headers=other).status_code == 403
        assert client.put("/labels/100000").status_code == 404
        assert not labels.exists()


def test_what_is_no_run_or_has_lost_its_data_is_said_in_a_line(run, tmp_path):
    done = CliRunner().invoke(view, [str(tmp_path)])
    assert isinstance(done.exception, UserError) and "is no run folder" in str(done.exception)
    record = RunRecord.read(run / "run.json")
    gone = record.data.model_copy(update={"source": str(tmp_path / "gone"), "dataset": "manifest"})
    with pytest.raises(UserError, match="--data names the data of the run"):
        opened_clips(record.model_copy(update={"data": gone}), None)


@contextmanager
def serving(app):
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        yield f"http://localhost:{bound.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.mark.browser
def test_clips_are_played_and_wrong_labels_marked_in_the_browser(app, run, chromium, tmp_path):
    browser = chromium()
    with serving(app) as address:
        browser.get(address)
        browser.find_element(By.ID, "more").send_keys(Keys.ENTER)
        buttons = browser.find_elements(By.CSS_SELECTOR, "#clip-table .play")
        assert len(buttons) == SMALL["limit"]
        buttons[-1].send_keys(Keys.ENTER)
        assert buttons[-1].get_attribute("aria-pressed") == "true"
        ended = WebDriverWait(browser, 20, 0.05)
        ended.until(lambda _: buttons[-1].get_attribute("aria-pressed") == "false")
        assert browser.find_element(By.ID, "sound-problem").text == ""
        marks = browser.find_elements(By.CSS_SELECTOR, "#clip-table .mark")
        for number in (0, 1, 0):
            before = marks[number].text
            marks[number].send_keys(Keys.ENTER)
            ended.until(lambda _: marks[number].text != before)  # noqa: B023
        assert [mark.text for mark in marks[:2]] == ["Label is wrong", "Marked as wrong"]
        browser.refresh()
        mark = browser.find_elements(By.CSS_SELECTOR, "#clip-table .mark")[1]
        assert mark.text == "Marked as wrong", "the marks are kept"
        row = mark.find_element(By.XPATH, "ancestor::tr")
        name, label = (row.find_elements(By.XPATH, "*")[i].text for i in (1, 4))
        assert browser.get_log("browser") == []
    table = pd.read_csv(tmp_path / "labels.csv", dtype=str)
    assert list(table) == ["id", "match", "by", "when"]
    assert table[["id", "match"]].to_numpy().tolist() == [[name, "01"[label == "mismatch"]]]

    how = {**SMALL, "cache": tmp_path / "cache"}
    found = audiomatch.compare(
        "mini-screener", "base-rate", out=tmp_path / "again", labels=tmp_path / "labels.csv", **how
    )
    before = RunRecord.read(run / "run.json")
    assert found.predictions.set_index("id")["match"][name].tolist()[0] == int(table.match[0])
    assert found.run.data.relabelled == 1 and found.run.data.digest != before.data.digest
    assert found.run.arguments["labels"] == str(tmp_path / "labels.csv")
