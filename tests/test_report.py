"""The report, read back as HTML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from audiomatch.records import DataRecord, FoldsMade, FoldSummary, RunRecord
from audiomatch.report import write_report
from audiomatch.report.charts import histogram, reliability, whiskers
from audiomatch.scoring import build_leaderboard

VOID = {"meta", "link", "br"}
SELF_CLOSED = {"line", "rect", "circle", "polyline"}
NASTY = "<script>alert('x')</script> & \"say\" stale"


class Page(HTMLParser):
    """The tags of a page, its text, and whether they nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.unbalanced = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def made(matchers=("whisper", "base-rate"), n=240, fail=(), seed=0, **columns):
    rng = np.random.default_rng(seed)
    g, y = rng.integers(20, size=n), rng.integers(2, size=n)
    frames, results = [], []
    for skill, name in enumerate(matchers):
        p = 1 / (1 + np.exp(-((2 * y - 1) * (3 - skill) + rng.normal(0, 1.5, n))))
        frame = pd.DataFrame(
            {
                "id": [f"clip{i}.ogg" for i in range(n)],
                "matcher": name,
                "fold": g % 3,
                "group": [f"text {i}" for i in g],
                "match": y,
                "p_match": p,
                "task": np.where(g % 2, "deletion", "blending"),
                "grade": "",
                **columns,
            }
        )
        for fold in range(3):
            failed = (name, fold) in fail
            if not failed:
                frames.append(frame[frame.fold == fold])
            cost = {"seconds_fit": 1.0, "seconds_predict": 2.0}
            why = {"error": f"RuntimeError: {NASTY}", "traceback": "Traceback: line 3"}
            results.append(
                FoldSummary(
                    matcher=name,
                    fold=fold,
                    status="failed" if failed else "done",
                    kind="floor" if name == "base-rate" else "matcher",
                    plugin="audiomatch-toy",
                    version="1.2",
                    config={"epochs": 2, "pad": "longest"},
                    fingerprint={"weights_digest": "sha256:abc"},
                    clips_predict=80,
                    notes={"weights": "scratch" if name == "tower" else "tiny.en"},
                    **(why if failed else cost),
                )
            )
    return pd.concat(frames, ignore_index=True), results


def record(results, **run):
    return RunRecord(
        data=DataRecord(
            dataset="manifest",
            source="/data/so762",
            digest="d1g3st",
            clips=240,
            seconds_of_audio=600,
        ),
        folds=FoldsMade(k=3, group="expected_text", digest="f01d"),
        groups=20,
        seed=7,
        precision="auto",
        workers=1,
        versions={"audiomatch-toolkit": "0.2.0", "numpy": "2.0"},
        started="2026-01-01T10:00:00Z",
        seconds=90,
        results=results,
        **{"device": "cpu", **run},
    )


def report(folder, predictions, results, **run):
    board = build_leaderboard(predictions, results)
    write_report(folder, board, predictions, record(results, **run))
    text = (folder / "report.html").read_text(encoding="utf-8")
    return board, text, Page(text)


def test_the_page_says_what_the_run_found(tmp_path):
    predictions, results = made(("whisper", "tower", "base-rate"))
    board, _, page = report(tmp_path, predictions, results)
    assert page.unbalanced == [] and page.open == []
    for row in board.rows:
        assert row.label in page.text
        scores = row.model_dump()
        for name in ("log_loss", "skill", "auroc", "brier", "calibration_error"):
            assert f"{scores[name]:.3f}" in page.text
            assert f"{scores[name + '_low']:.3f} to {scores[name + '_high']:.3f}" in page.text
        for part in (*row.by_task, *row.by_fold):
            assert f"{part.log_loss:.3f}" in page.text
    for fact in ("240", "/data/so762", "d1g3st", "f01d", "expected_text", "cpu", "numpy=2.0"):
        assert fact in page.text
    for setup in ("audiomatch-toy 1.2", "epochs=2, pad=longest", "weights_digest=sha256:abc"):
        assert setup in page.text
    assert "tower (scratch)" in page.text and "By task" in page.text
    assert "By grade" not in page.text, "no clip has a grade"


def test_nothing_is_asked_of_the_outside_and_nothing_runs(tmp_path):
    _, text, page = report(tmp_path, *made())
    assert not page.all("script")
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:,").startswith(("data:", "#"))
    assert not re.search(r"url\(|@import|https?://", text)


def test_texts_ids_names_and_errors_are_escaped(tmp_path):
    name = "toy@text=<b>&"
    predictions, results = made((name, "base-rate"), fail={(name, 1)}, expected_text=NASTY)
    predictions["id"] = "<img src=x onerror=alert(1)>" + predictions["id"]
    predictions["task"] = NASTY
    _, _, page = report(tmp_path, predictions, results, device=NASTY)
    assert page.unbalanced == [] and page.open == []
    assert not page.all("script") and not page.all("img") and not page.all("b")
    assert NASTY in page.text and name in page.text and "onerror" in page.text
    assert any(name in attributes.get("aria-label", "") for attributes in page.all("svg"))


def test_tables_and_pictures_are_accessible(tmp_path):
    _, text, page = report(tmp_path, *made())
    assert dict(page.all("html")[0])["lang"] == "en"
    assert page.all("th") and all(th.get("scope") in ("col", "row") for th in page.all("th"))
    assert len(page.all("svg")) == 5
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    regions = [div for div in page.all("div") if div.get("class") == "scroll"]
    assert len(regions) >= len(page.all("table")) > 4
    assert all(div["aria-label"] and div["tabindex"] == "0" for div in regions)
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_svg_is_well_formed_and_in_its_box(tmp_path):
    _, text, _ = report(tmp_path, *made())
    pictures = [
        ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    ]
    assert len(pictures) == 5
    for picture in pictures:
        for circle in picture.iter("circle"):
            end = 100 if circle.get("cx").endswith("%") else 200
            assert 0 <= float(circle.get("cx").rstrip("%")) <= end
        for bar in picture.iter("rect"):
            assert float(bar.get("height")) >= 0


def test_failures_are_told_with_their_errors(tmp_path):
    fail = {("half", 2), ("gone", 0), ("gone", 1), ("gone", 2)}
    _, _, page = report(tmp_path, *made(("whisper", "half", "gone"), fail=fail))
    assert "Failures" in page.text and f"RuntimeError: {NASTY}" in page.text
    assert "Traceback: line 3" in page.text
    assert "partial" in page.text and "failed" in page.text


def test_no_failures_no_section(tmp_path):
    _, _, page = report(tmp_path, *made())
    assert "Failures" not in page.text


def test_a_run_where_everything_failed(tmp_path):
    fail = {("whisper", fold) for fold in range(3)}
    predictions, results = made(("whisper", "base-rate"), fail=fail)
    only = [result for result in results if result.matcher == "whisper"]
    board = build_leaderboard(predictions[:0], only)
    write_report(tmp_path, board, predictions[:0], record(only))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == [] and "RuntimeError" in page.text


def test_the_most_wrong_clips_are_shown_worst_first(tmp_path):
    predictions, results = made(("whisper",))
    wrong = predictions.index[predictions["match"] == 0][5]
    predictions.loc[wrong, "p_match"] = 0.99999
    _, _, page = report(tmp_path, predictions, results)
    after = page.text.split("The 10 most wrong clips")[1]
    assert re.search(r"Clip Text P\(match\) Match (\S+)", after)[1] == predictions["id"][wrong]
    assert "1.000 no" in after


def test_reliability_dots_are_the_bins_of_the_calibration_error():
    predictions, _ = made(("whisper",))
    y, p = predictions["match"].to_numpy(float), predictions["p_match"].to_numpy(float)
    dots = reliability(y, p)["dots"]
    assert sum(dot["n"] for dot in dots) == len(y)
    for dot in dots:
        inside = np.floor(p * 15) == np.floor(dot["p"] * 15)
        assert dot["n"] == inside.sum() and dot["share"] == pytest.approx(y[inside].mean())


def test_histogram_keeps_every_clip_in_proportion():
    y, p = np.array([1.0, 1, 1, 0]), np.array([0.99, 1.0, 0.5, 0.0])
    bars = histogram(y, p)["bars"]
    up = {bar["x"]: bar["height"] for bar in bars if bar["kind"] == "match"}
    down = [bar for bar in bars if bar["kind"] == "mismatch"]
    assert sorted(up.values())[1] == pytest.approx(2 * sorted(up.values())[0])
    assert len(down) == 1 and down[0]["x"] < 1


def test_whiskers_keep_an_outlier_from_squeezing_the_rest(tmp_path):
    predictions, results = made(("a", "b", "c"))
    predictions.loc[predictions["matcher"] == "c", "p_match"] = 0.0
    chart = whiskers(build_leaderboard(predictions, results).rows)
    assert [row["cut"] for row in chart["rows"]] == [False, False, True]
    for row in chart["rows"]:
        assert 0 <= row["low"] <= row["x"] <= row["high"] <= 100
    assert chart["rows"][1]["x"] - chart["rows"][0]["x"] > 1
