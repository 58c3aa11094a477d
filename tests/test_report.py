"""The report, read back as HTML."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audiomatch.errors import DataWarning
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.tables import write_explanations
from audiomatch.private import hider, relative_link
from audiomatch.records import DataRecord, FoldsMade, FoldSummary, RunRecord
from audiomatch.records.behaviour import Behaviour
from audiomatch.records.training import LearningPoint, RecipeDifference
from audiomatch.report import write_report
from audiomatch.report.curves import frontier, operating, ratios, reliability, thinned
from audiomatch.report.drawing import loss_domain
from audiomatch.report.listening import listed
from audiomatch.report.page import clip_table
from audiomatch.report.words import EXPLANATIONS, read_words
from audiomatch.scoring import build_leaderboard
from audiomatch.scoring.summary import summary

VOID = {"meta", "link", "br", "input"}
NASTY = "<script>alert('x')</script> & \"say\" stale"


class Page(HTMLParser):
    """The tags of a page, its text, and whether they nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.unbalanced = [], [], [], []
        self.scripts = []
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
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def data(self):
        return json.loads(self.scripts[0])

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
    for fact in ("240", "manifest · so762", "d1g3st", "f01d", "expected_text", "cpu", "numpy=2.0"):
        assert fact in page.text
    for setup in ("audiomatch-toy 1.2", "epochs=2, pad=longest", "weights_digest=sha256:abc"):
        assert setup in page.text
    assert "tower (scratch)" in page.text and "By task" in page.text
    assert "By grade" not in page.text, "no clip has a grade"


def test_thousands_are_set_apart(tmp_path):
    predictions, results = made()
    results = [one.model_copy(update={"peak_memory_mb": 12_345.0}) for one in results]
    _, _, page = report(tmp_path, predictions, results)
    assert "12,345" in page.text and "12345" not in page.text


def test_nothing_is_asked_of_the_outside(tmp_path):
    _, text, page = report(tmp_path, *made())
    assert len(page.all("script")) == 3
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:,").startswith(("data:", "#"))
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none';") and "http" not in policy
    assert len(text) < 2.5e6


def test_texts_ids_names_and_errors_are_escaped(tmp_path):
    name = "toy@text=<b>&"
    predictions, results = made((name, "base-rate"), fail={(name, 1)}, expected_text=NASTY)
    predictions["id"] = "<img src=x onerror=alert(1)>" + predictions["id"]
    predictions["task"] = NASTY
    _, _, page = report(tmp_path, predictions, results, device=NASTY)
    assert page.unbalanced == [] and page.open == []
    assert len(page.all("script")) == 3 and not page.all("img") and not page.all("b")
    assert NASTY in page.text and name in page.text
    assert any(name in attributes.get("aria-label", "") for attributes in page.all("div"))
    clip = page.data["clips"]["rows"][0]
    assert clip["text"] == clip["task"] == NASTY and clip["id"].startswith("<img src=x")


def test_tables_and_pictures_are_accessible(tmp_path):
    _, text, page = report(tmp_path, *made())
    assert dict(page.all("html")[0])["lang"] == "en"
    assert page.all("th") and all(th.get("scope") in ("col", "row") for th in page.all("th"))
    charts = [div for div in page.all("div") if "data-chart" in div]
    assert {div["data-chart"] for div in charts} == set(page.data["charts"])
    assert all(div["role"] == "img" and div["aria-label"] for div in charts)
    regions = [div for div in page.all("div") if div.get("class") == "scroll"]
    assert len(regions) == len(page.all("table")) > 4
    assert all(div["aria-label"] and div["tabindex"] == "0" for div in regions)
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


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


def test_a_page_of_many_clips_lists_the_worst_and_some_of_all(tmp_path):
    predictions, results = made(("a", "b"), n=600)
    predictions.loc[predictions["id"] == "clip7.ogg", "p_match"] = 1 - predictions["match"]
    pooled = clip_table(predictions, build_leaderboard(predictions, results))
    found = listed(pooled, ["a", "b"], most=100)
    assert len(found) == len(set(found)) == 100
    assert pooled.clips["id"][found[0]] == "clip7.ogg"
    spread = np.sort(found[50:])  # some of the worst are those of both
    assert spread[0] < 60 and spread[-1] > 580 and np.diff(spread).max() < 40
    assert listed(pooled, ["a", "b"], most=600) == list(range(600))


def test_no_private_path_stands_in_the_page(tmp_path):
    predictions, results = made()
    error = results[0].model_copy(update={
        "status": "failed", "error": "no /home/ann/data/so762/x.wav",
        "traceback": f'File "{Path.home()}/a.py", File "C:\\Users\\ann\\b.py"',
    })  # fmt: skip
    results = [error, *results[1:]]
    predictions = predictions[~((predictions.matcher == "whisper") & (predictions.fold == 0))]
    data = record(results).data
    ours = {
        "source": "/home/ann/data/so762",
        "skipped": ("/home/ann/data/so762/t.csv, row 3: bad",),
    }
    board = build_leaderboard(predictions, results)
    run = record(results).model_copy(update={"data": data.model_copy(update=ours)})
    write_report(tmp_path, board, predictions, run)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "so762/t.csv, row 3: bad" in page.text and "no so762/x.wav" in page.text
    assert "~/a.py" in page.text and "~\\b.py" in page.text
    assert "ann" not in page.text.replace("cannot", "").replace("channel", "")


@pytest.mark.parametrize(
    ("folder", "file", "link"),
    [
        ("/home/ann/p/runs/a", "/home/ann/p/data/x y.wav", "../../data/x%20y.wav"),
        ("/srv/runs", "/mnt/kids/x.wav", None),
        (str(Path.home() / "runs"), str(Path.home().parent / "bea" / "x.wav"), None),
    ],
)
def test_a_link_tells_no_more_than_how_page_and_sound_lie(folder, file, link):
    assert relative_link(Path(folder), Path(file)) == link


def test_paths_are_shortened_and_other_words_are_not():
    hide = hider(["/data/kids", "mini-screener"])
    assert hide("/data/kids/a.wav and 1/2 of data/kids") == "kids/a.wav and 1/2 of data/kids"
    assert hide("mini-screener, /homely/x") == "mini-screener, /homely/x"


def test_the_page_begins_with_a_matcher_that_learned_something_though_a_floor_is_better(tmp_path):
    predictions, results = made(("base-rate", "whisper", "tower"))
    floor = predictions["matcher"] == "base-rate"
    predictions.loc[floor, "p_match"] = 0.02 + 0.96 * predictions["match"]
    board, _, page = report(tmp_path, predictions, results)
    assert board.rows[0].matcher == "base-rate" and page.data["worth"] == ["whisper", "tower"]


def test_words_are_those_of_this_text_and_of_a_file_that_can_be_read(tmp_path):
    predictions, results = made(("whisper",))
    predictions["expected_text"] = "the moon"
    said = WordEvidence("the moon", 0.5, -1.0, 0.0, 0.5, (), "", "")
    file = tmp_path / EXPLANATIONS
    own = predictions["id"].tolist()
    found = [Explanation(own[0], "the moon", 0.5, "", (said,)),
             Explanation(own[1], "the sun", 0.5, "", (said,))]  # fmt: skip
    write_explanations(file, found)
    _, _, page = report(tmp_path, predictions, results)
    words = {row["id"]: row["words"] for row in page.data["clips"]["rows"]}
    assert [name for name, one in words.items() if one] == [own[0]]
    assert words[own[0]]["words"][0]["at"] == "0.00–0.50 s" and "P(said)" in page.text

    for content in (b"{}\n", b"\xff", b'{"id": 3}'):
        file.write_bytes(content)
        with pytest.warns(DataWarning, match=r"explanations.jsonl: is not what"):
            assert read_words(tmp_path) == {}
    file.unlink()
    assert read_words(tmp_path) == {}
    assert "P(said)" not in report(tmp_path, predictions, results)[2].text


def test_reliability_holds_every_clip_once_and_its_band_the_share():
    predictions, results = made(("whisper",))
    pooled = clip_table(predictions, build_leaderboard(predictions, results))
    bins = reliability(pooled.y, pooled.p["whisper"], pooled.clusters)
    assert sum(one["n"] for one in bins) == len(pooled.y)
    for one in bins:
        inside = np.floor(pooled.p["whisper"] * 15) == np.floor(one["p"] * 15)
        assert one["n"] == inside.sum()
        assert one["share"] == pytest.approx(pooled.y[inside].mean())
        assert 0 <= one["low"] <= one["share"] <= one["high"] <= 1


def test_curves_are_those_of_scikit_learn():
    from sklearn.metrics import precision_recall_curve, roc_curve

    rng = np.random.default_rng(0)
    y, p = rng.integers(2, size=500).astype(float), rng.random(500).round(2)
    found = ratios(y, p)
    false_alarms, recall, thresholds = roc_curve(y, p, drop_intermediate=False)
    assert [r.threshold for r in found] == pytest.approx(thresholds[1:])
    assert [r.false_alarms for r in found] == pytest.approx(false_alarms[1:])
    assert [r.recall for r in found] == pytest.approx(recall[1:])
    precision = precision_recall_curve(y, p)[0]
    assert [r.precision for r in found] == pytest.approx(precision[:-1][::-1])
    assert operating(found)["P(match) 0.5"].threshold == 0.5
    few = thinned(found * 3)
    assert len(few) == 150 and few[0] == found[0] and few[-1] == found[-1]
    assert ratios(np.ones(3), np.ones(3)) == []


def test_on_the_front_is_what_none_beats_in_both():
    assert frontier([1, 2, 3, 4], [0.5, 0.6, 0.2, 0.2]) == [0, 2]
    assert frontier([2, 2], [0.4, 0.3]) == [1]


def test_the_axis_keeps_an_outlier_from_squeezing_the_rest(tmp_path):
    predictions, results = made(("a", "b", "c"))
    predictions.loc[predictions["matcher"] == "c", "p_match"] = 0.0
    _, _, page = report(tmp_path, predictions, results)
    layers = page.data["charts"]["losses"]["layer"]
    assert layers[0]["encoding"]["x"]["scale"]["domain"][1] <= 1.2


@pytest.mark.parametrize(
    ("losses", "domain"),
    [((0.1, 0.69), [0, 0.7]), ((0.55, 0.69), [0.52, 0.7]), ((0.7, 0.7), [0.68, 0.7])],
)
def test_the_axis_begins_at_0_unless_most_of_it_would_be_empty(losses, domain):
    found = loss_domain([{"loss": loss} for loss in losses])
    assert found == pytest.approx(domain)
    assert loss_domain([{"loss": 0.6, "low": 0.1}]) == pytest.approx([0, 0.6])
    assert loss_domain([{"loss": 0.6, "low": 0.0}]) == pytest.approx([0, 0.6])
    assert loss_domain([{"loss": 0.6, "low": None}]) == pytest.approx([0.58, 0.6])


def test_what_else_a_run_found_is_shown_where_it_is_known(tmp_path):
    predictions, results = made(("whisper", "base-rate"))
    board, _, page = report(tmp_path, predictions, results)
    assert "learning" not in page.data["charts"] and "More labels" not in page.text
    assert "recall at 95% precision" in page.text and "task deletion" in page.text
    points = [
        LearningPoint(matcher="whisper", train_size=size, n_train=size, log_loss=0.4)
        for size in (0, 50)
    ]
    behaviour = Behaviour(
        matcher="whisper", probe="first half", expectation="fall", n=90, confirmed=0.29,
        low=0.2, high=0.4, loss=1.234,
    )  # fmt: skip
    recipe = RecipeDifference(
        a="whisper", b="base-rate", difference=-0.3, low=-0.4, high=-0.2, verdict="better", parts=6
    )
    more = {"learning": tuple(points), "behaviours": (behaviour,), "recipe": (recipe,)}
    board = board.model_copy(update=more)
    write_report(tmp_path, board, predictions, record(results))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    values = page.data["charts"]["learning"]["datasets"]["data-0"]
    assert [value["n"] for value in values] == [0, 50] and "More labels" in page.text
    assert "first half fall 0.29 0.20 to 0.40 loss 1.234" in page.text
    assert "whisper base-rate -0.300 -0.400 to -0.200 better" in page.text


def said_of(predictions, results):
    return " ".join(summary(build_leaderboard(predictions, results)))


def test_the_verdict_names_the_best_its_equals_and_what_learned_nothing():
    predictions, results = made(("whisper", "twin", "tower", "nothing", "base-rate"))
    whisper = predictions[predictions.matcher == "whisper"].set_index("id")
    twin = predictions.matcher == "twin"
    predictions.loc[twin, "p_match"] = whisper.loc[predictions.id[twin], "p_match"].to_numpy()
    for name in ("nothing", "base-rate"):
        predictions.loc[predictions.matcher == name, "p_match"] = 0.5
    said = said_of(predictions, results)
    assert "is best, with a log loss of 0." in said and "is equivalent." in said
    assert "tower (scratch) is worse by 0." in said
    assert "nothing learned nothing" in said and "base-rate learned" not in said


@pytest.mark.parametrize(("second", "verdict"), [
    ("tower", "Training whisper was worth it: 0."),
    ("whisper", "Training whisper is not shown to be worth it: plain is equivalent."),
])  # fmt: skip
def test_the_verdict_says_whether_training_was_worth_it(second, verdict):
    predictions, results = made(("whisper", "tower", "base-rate"))
    plain = predictions[predictions.matcher == second].assign(matcher="plain")
    predictions = pd.concat([predictions, plain], ignore_index=True)
    fact = {"whisper": {"untrained": "plain"}, "tower": {"matcher": "plain", "kind": "floor"}}
    results = [one.model_copy(update=fact.get(one.matcher, {})) for one in results]
    said = said_of(predictions[predictions.matcher != "tower"], results)
    assert verdict in said
    assert "Mind the data: base-rate is" in said, "an untrained matcher hears"


def test_the_verdict_claims_nothing_that_is_not_judged():
    predictions, results = made(("a", "b"), n=30)
    predictions["group"] = [f"g{i % 4}" for i in range(len(predictions))]
    said = said_of(predictions, results)
    assert "is best" not in said and "not judged: 4 groups" in said
    assert summary(build_leaderboard(predictions[:0], [])) == []


def test_the_verdict_minds_floors_and_failures():
    fail = {("gone", fold) for fold in range(3)} | {("half", 1)}
    predictions, results = made(("base-rate", "half", "gone"), fail=fail)
    said = said_of(predictions, results)
    assert "No matcher has a lower log loss than the floor base-rate." in said
    assert "Mind the data: base-rate is better than the base rate" in said
    assert "gone gave no result." in said and "half finished some folds only." in said


def test_the_set_up_tells_the_folds_apart(tmp_path):
    predictions, results = made()
    results = [
        one.model_copy(update={"notes": {**one.notes, "trees": 10 * one.fold}}) for one in results
    ]
    write_report(tmp_path, build_leaderboard(predictions, results), predictions, record(results))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert 'weights=tiny.en, trees={"fold 1": 0, "fold 2": 10, "fold 3": 20}' in page.text
