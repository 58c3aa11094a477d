"""`audiomatch explain` by a toy that knows the times: the command, its table, files and picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audiomatch.clips import Clips
from audiomatch.explanation import Explanation, TokenEvidence, WordEvidence
from audiomatch.explanation.colours import colour_of, ink_on
from audiomatch.explanation.picture import draw_explanation, spread
from audiomatch.matcher import Run
from audiomatch.plugins import Registry
from tests.conftest import write_tone
from tests.toys import Toy, toy_plugin

Command = Callable[..., tuple[int, str, str]]
SVG = "{http://www.w3.org/2000/svg}"


def made_up(id_: str, text: str, wrong: int = 1, seconds: float = 1.0) -> Explanation:
    """Words of equal length, of which one is wrong."""
    words = text.split()
    step = seconds / len(words)
    return Explanation(
        id=id_,
        text=text,
        p_match=0.25,
        heard="something else",
        words=tuple(
            WordEvidence(
                word=word,
                probability=0.1 if i == wrong else 0.9,
                log_prob=-3.0,
                start=i * step,
                end=(i + 1) * step,
                tokens=(TokenEvidence(word, -3.0, i * step, (i + 1) * step),),
                heard="other" if i == wrong else word,
                rather="other",
            )
            for i, word in enumerate(words)
        ),
    )


class Teller(Toy):
    """Finds fault with the second word of every text."""

    changed: Callable[[Explanation], Explanation] = staticmethod(lambda one: one)

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        assert not clips.labelled
        pairs = zip(clips.ids, clips.texts, clips.seconds, strict=True)
        return [type(self).changed(made_up(i, text, 1, s)) for i, text, s in pairs]


@pytest.fixture
def model(plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path) -> Path:
    """A fitted Teller."""
    plugin(toy=toy_plugin(Teller))
    assert command("fit", "toy", corpus, "--out", tmp_path / "model")[0] == 0
    return tmp_path / "model"


def test_one_clip_as_a_table_json_and_picture(
    model: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    clip = corpus.parent / "003.wav"
    code, out, err = command("explain", model, clip, "the dog ran", "--picture", tmp_path / "p.svg")
    assert code == 0, err
    [worst] = [line for line in out.splitlines() if "worst" in line]
    assert worst.startswith("dog") and "0.100" in worst and "other" in worst
    assert "P(match) 0.250" in out and "something else" in out
    ElementTree.parse(tmp_path / "p.svg")
    code, out, _ = command("explain", model, clip, "the dog ran", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["worst"] == 1
    assert [word["word"] for word in answer["words"]] == ["the", "dog", "ran"]
    assert [word["outcome"] for word in answer["words"]] == ["said", "other", "said"]
    assert answer["words"][1]["tokens"][0].keys() == {"token", "log_prob", "start", "end"}


@pytest.mark.parametrize(
    ("heard", "outcome"), [("dig", "other"), ("", "nothing"), ("Dog!", "nothing")]
)
def test_a_word_heard_as_another_and_one_not_heard_are_told_apart(heard: str, outcome: str) -> None:
    one = made_up("a", "the dog ran", 1, 1.0)
    words = (one.words[0], replace(one.words[1], heard=heard), one.words[2])
    one = replace(one, words=words)
    assert [word.outcome for word in one.words] == ["said", outcome, "said"]
    assert [row["outcome"] for row in one.rows()] == ["said", outcome, "said"]
    picture = draw_explanation(one, np.zeros(16_000, dtype=np.float32))
    assert ("heard: dig" if outcome == "other" else "not heard") in picture


def test_many_clips_into_a_file(
    model: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    for name in ("e.jsonl", "e.csv", "e.parquet"):
        code, out, err = command("explain", model, corpus, "--out", tmp_path / name, "--limit", 9)
        assert code == 0 and "9 clips" in out, err
    lines = [json.loads(x) for x in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert len(lines) == 9
    read = pd.read_csv(tmp_path / "e.csv")
    pd.testing.assert_frame_equal(read, pd.read_parquet(tmp_path / "e.parquet"))
    assert read.groupby("id", sort=False)["word"].agg(" ".join).tolist() == [
        line["text"] for line in lines
    ]
    assert read.groupby("id")["worst"].sum().eq(1).all()
    code, out, _ = command("explain", model, corpus, "--out", tmp_path / "e.jsonl", "--json")
    assert code == 0 and json.loads(out)["clips"] == 36


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.wav", "the dog"], "no such audio file: nowhere.wav"),
        (["CLIP", "  "], "TEXT is empty"),
        (["CLIP"], "is one clip"),
        (["DATA"], "--out FILE"),
        (["DATA", "--out", "e.txt"], ".jsonl, .csv or .parquet"),
        (["CLIP", "the dog", "--picture", "p.png"], "must end in .svg"),
        (["DATA", "--out", "e.csv", "--picture", "p.svg"], "--picture draws one clip"),
        (["CLIP", "the dog", "--limit", "3"], "leave out TEXT"),
        (["DATA", "--out", "e.csv", "--dataset", "manifset"], "did you mean"),
    ],
)
def test_bad_input_is_one_clear_line(
    model: Path, command: Command, corpus: Path, arguments: list[str], says: str
) -> None:
    places = {"DATA": str(corpus), "CLIP": str(corpus.parent / "003.wav")}
    code, out, err = command("explain", model, *(places.get(a, a) for a in arguments))
    assert code == 2 and says in err and not out, err
    assert len(err.strip().splitlines()) == 1


def test_a_matcher_that_cannot_names_those_that_can(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    command("fit", "toy", corpus, "--out", tmp_path / "model")
    clip = corpus.parent / "003.wav"
    code, _, err = command("explain", tmp_path / "model", clip, "the dog")
    assert code == 2 and "toy judges a text as a whole" in err and "that can: none" in err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": "x"}, "for 1 clips"),
        ({"words": ()}, "no words"),
        ({"words": made_up("", "a b").words}, "not those of the text"),
    ],
)
def test_an_explanation_that_breaks_the_contract_is_refused(
    model: Path,
    command: Command,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    says: str,
) -> None:
    def broken(one: Explanation) -> Explanation:
        return Explanation(**{**vars(one), **change})

    monkeypatch.setattr(Teller, "changed", staticmethod(broken))
    code, _, err = command("explain", model, corpus.parent / "003.wav", "the dog ran")
    assert code == 2 and says in err


def texts_of(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("text", ['a <b> & "c" d\'e', "naïve 日本 it\x92s", "w " * 60])
def test_the_picture_shows_every_word_whatever_it_is_made_of(text: str) -> None:
    one = made_up("<id>", text.strip(), 0)
    svg = draw_explanation(one, np.zeros(16_000, dtype=np.float32))
    shown = texts_of(svg)
    for word in text.split():
        assert word.replace("\x92", "\ufffd") in shown
    assert "▲ worst" in shown and any("<id>" in line for line in shown)


def test_words_stand_where_they_are_said_and_labels_do_not_overlap() -> None:
    one = made_up("id", "one two three", 2)
    root = ElementTree.fromstring(draw_explanation(one, np.ones(16_000, dtype=np.float32)))
    groups = list(root.iter(f"{SVG}g"))
    bands = [next(group.iter(f"{SVG}rect")) for group in groups]
    lefts = [float(band.get("x", "nan")) for band in bands]
    wide = [float(band.get("width", "nan")) for band in bands]
    np.testing.assert_allclose(np.diff(lefts), wide[:2], atol=0.2)
    assert bands[2].get("fill") == colour_of(0.1) != bands[0].get("fill")

    widths = [40.0] * 12
    centres = spread([100.0] * 12, widths, 0, 700)
    assert np.diff(centres).min() >= 50 - 1e-9 and centres[-1] <= 680


def test_ink_reads_on_every_colour() -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for p in np.linspace(0, 1, 41):
        colour = colour_of(p)
        ink, back = luminance(ink_on(colour)), luminance(colour)
        assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) >= 4.5, (p, colour)


def test_a_clip_of_few_samples_is_drawn(tmp_path: Path) -> None:
    write_tone(tmp_path / "short.wav", 0.01)
    svg = draw_explanation(made_up("id", "hi", 0, 0.01), np.zeros(160, dtype=np.float32))
    assert "hi" in texts_of(svg)
