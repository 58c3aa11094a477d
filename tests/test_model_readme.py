"""The README of a model folder: its card for people and for the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

import audiomatch
from audiomatch import UserError
from audiomatch.model import CARD
from audiomatch.plugins import Registry
from audiomatch.readme import README, readme_of
from audiomatch.records import FitRecord, ModelCard, PluginRecord
from tests.toys import Toy, ToyConfig, toy_plugin

Plugin = Callable[..., Registry]
FIT = FitRecord(
    clips=36, match_rate=0.5, data_digest="abc", group="text", seed=0, device="cpu",
    precision="auto", seconds=1.5,
)  # fmt: skip


class PlacedConfig(ToyConfig):
    weights: str = Field("none", description="a folder")


class Placed(Toy):
    Config = PlacedConfig


def card(**config: str) -> ModelCard:
    plugin = PluginRecord(distribution="audiomatch-toy", version="1.0")
    return ModelCard(matcher="toy", config=config, plugin=plugin, audiomatch="0", fit=FIT)


def header(text: str) -> tuple[dict[str, object], str]:
    """The YAML of a README, and what follows it."""
    empty, head, body = text.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(head), body


def test_a_saved_model_says_for_people_what_it_is(corpus: Path, tmp_path: Path) -> None:
    model = audiomatch.fit("prior", corpus, target_precision=0.9)
    facts, body = header((model.save(tmp_path / "model") / README).read_text())
    assert facts["library_name"] == "audiomatch" and facts["pipeline_tag"] == "audio-classification"
    assert facts["tags"] == ["audio", "speech", "prior"] and "license" not in facts
    fit, cut = model.card.fit, model.card.thresholds
    assert fit is not None and cut is not None
    for said in (
        "audiomatch predict MODEL clips.csv", "| clips | 36 |", "| share of matches | 0.500 |",
        fit.data_digest, f"`match` from {cut.match:.4g}", "Verdict `match` on 36 held-out clips",
        "chosen on held-out clips for a precision of 0.9", "## Limits",
    ):  # fmt: skip
        assert said in body, said


def test_the_readme_may_be_edited_and_left_out_and_other_files_not(
    corpus: Path, tmp_path: Path
) -> None:
    folder = audiomatch.fit("prior", corpus).save(tmp_path / "model")
    before = audiomatch.load(folder).predict(corpus)
    assert README not in (folder / CARD).read_text()
    (folder / README).write_text("---\nlicense: mit\n---\n")
    assert (audiomatch.load(folder).predict(corpus) == before).all()
    (folder / README).unlink()
    assert (audiomatch.load(folder).predict(corpus) == before).all()
    (folder / "more.txt").touch()
    with pytest.raises(UserError, match=r"more\.txt: is no file of the model"):
        audiomatch.load(folder)


def test_members_of_an_ensemble_have_no_readme_of_their_own(corpus: Path, tmp_path: Path) -> None:
    ensemble = "ensemble@members=(prior,audio-only)@method=mean"
    folder = audiomatch.fit(ensemble, corpus).save(tmp_path / "model")
    assert [file.relative_to(folder) for file in folder.rglob(README)] == [Path(README)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/jane/models/mine", "mine"),
        ("/srv/jane doe/mine", "mine"),
        ("~jane/models/mine", "mine"),
        (r"C:\Users\jane\mine", "mine"),
        ("file:///home/jane/mine", "mine"),
        ("(toy@weights=/srv/jane/mine,prior)", "(toy@weights=mine,prior)"),
        ("openai/whisper-tiny.en", "openai/whisper-tiny.en"),
    ],
)
def test_no_private_path_is_in_it(value: str, shown: str) -> None:
    text = readme_of(card(weights=value), FIT)
    assert "jane" not in text and f"{shown} |" in text


def test_markup_in_an_option_is_text(corpus: Path, tmp_path: Path, plugin: Plugin) -> None:
    plugin(toy=toy_plugin(Placed))
    model = audiomatch.fit("toy@weights=a|b\n---\n# <b>`c`", corpus)
    facts, body = header((model.save(tmp_path / "model") / README).read_text())
    assert facts["tags"] == ["audio", "speech", "toy"]
    assert r"| weights | a\|b --- \# \<b\>\`c\` |" in body
    assert r"# toy@weights=a\|b --- \# \<b\>\`c\`" in body


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_text_leaves_the_lines_as_they_are(value: str) -> None:
    plain = readme_of(card(weights="a"), FIT).splitlines()
    text = readme_of(card(weights=value), FIT).splitlines()
    [changed] = [line for line in text if line.startswith("| weights | ")]
    assert [line for line in text if line != changed] == [
        line for line in plain if line != "| weights | a |"
    ]
