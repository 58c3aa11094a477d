"""Learning to transcribe before learning to match."""

import dataclasses

import numpy as np
import pytest
import torch
from audiomatch_torch import Compute, load_tensors
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.targets import TargetBatch
from audiomatch_whisper.score.tokens import score_tokens

from audiomatch.errors import UserError

FAST = {"epochs": 0, "batch_size": 4, "lr": 1e-3, "transcribe_first_epochs": 4}


@pytest.fixture
def fitted(whisper, folders, corpus, run):
    def make(clips=corpus, run=run, **options):
        matcher = whisper(weights=str(folders["bytes"]), **{**FAST, **options})
        matcher.fit(clips, run)
        return matcher

    return make


@pytest.fixture
def further(tmp_path, helpers):
    """A manifest of other clips, with or without labels."""

    def write(name="further", labels=True, **columns):
        folder = tmp_path / name
        folder.mkdir()
        frame = helpers.make_clips(folder, [0.6, 0.9, 0.5, 1.1], ("sun", "a cat"), 1).frame
        frame["match"] = [1, 0, 1, 0]
        frame = frame.assign(**columns)
        (frame if labels else frame.drop(columns="match")).to_csv(folder / "m.csv", index=False)
        return folder / "m.csv"

    return write


def cross_entropy(matcher, clips, run):
    """Nats a token of the text and its end, mean over the clips."""
    scorer = matcher._model.eval()
    pipeline = Pipeline(scorer, clips, matcher.config, Compute(run))
    out = []
    with torch.no_grad():
        for i in range(len(clips)):
            batch = TargetBatch.of(pipeline.targets_of([i]), scorer.model.device)
            log_p = score_tokens(scorer.model, batch, pipeline.encode(pipeline.recordings[[i]]))
            out.append(-float(log_p.mean()))
    return np.mean(out)


def matches_of(clips, label=1):
    return clips.take(clips.labels == label)


@pytest.mark.parametrize("options", [{"encoder_layers": "quarter"}, {}, {"embeddings": "trained"}])
def test_it_lowers_the_cross_entropy_of_the_matches(fitted, corpus, run, options):
    said = matches_of(corpus)
    cold = cross_entropy(fitted(**options), said, run)
    warm = cross_entropy(fitted(transcribe_first="matches", **options), said, run)
    assert warm < cold - 0.5
    assert run.notes["transcribe_first"] == "matches" and run.notes[
        "transcribe_first_clips"
    ] == len(said)


def test_the_texts_of_mismatches_are_never_read(fitted, corpus, run):
    other = [
        text if match else "zzz" * (i + 1)
        for i, (text, match) in enumerate(zip(corpus.texts, corpus.labels, strict=True))
    ]
    changed = corpus.with_column("expected_text", other)
    weights = [
        fitted(clips, transcribe_first="matches", score="same-position")._model.model.state_dict()
        for clips in (corpus, changed)
    ]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name


@pytest.mark.parametrize("labels", [True, False])
def test_a_corpus_with_labels_gives_its_matches_and_one_without_all(
    fitted, further, corpus, run, labels
):
    data = str(further(labels=labels))
    matcher = fitted(transcribe_first=data)
    assert matcher.further_data() == [data]
    assert run.notes["transcribe_first_digest"] == matcher.fingerprint()["transcribe_first_digest"]
    assert run.notes["transcribe_first"] == data and run.notes["transcribe_first_clips"] == (
        2 if labels else 4
    )
    texts = ["sun", "a cat"] * 4
    heard = {t: corpus.with_column("expected_text", [t] * 8) for t in texts}
    cold = fitted()
    gains = {t: cross_entropy(cold, c, run) - cross_entropy(matcher, c, run)
             for t, c in heard.items()}  # fmt: skip
    assert gains["sun"] > 0.5
    if labels:
        assert gains["a cat"] < gains["sun"] / 2


def test_same_seed_same_numbers_and_it_moves_them(fitted, corpus, run):
    first, second, cold = (
        fitted(epochs=1, **options).predict(corpus.unlabelled(), run)
        for options in ({"transcribe_first": "matches"}, {"transcribe_first": "matches"}, {})
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - cold).max() > 1e-3


def test_what_is_frozen_stays_and_the_head_starts_from_the_warm_whisper(fitted, folders, run):
    before = load_tensors(folders["bytes"] / "model.safetensors")
    matcher = fitted(transcribe_first="matches")
    after = matcher._model.model.state_dict()
    for name, tensor in before.items():
        if ".encoder." in name or "embed_tokens" in name:
            assert torch.equal(after[name], tensor), name
    heads = [m._model.head.state_dict() for m in (matcher, fitted())]
    assert any(not torch.equal(warm, heads[1][name]) for name, warm in heads[0].items())


def test_the_fingerprint_follows_the_corpus(whisper, folders, further, tmp_path):
    def prints(**options):
        return whisper(weights=str(folders["bytes"]), **options).fingerprint()

    data = further()
    first = prints(transcribe_first=str(data))
    assert first == prints(transcribe_first=str(data)) != prints()
    assert prints(transcribe_first="matches") == prints()
    sound = data.parent / "clip0.wav"
    kept = sound.read_bytes()
    sound.write_bytes((data.parent / "clip1.wav").read_bytes())
    assert prints(transcribe_first=str(data)) != first
    sound.write_bytes(kept)
    assert prints(transcribe_first=str(data)) == first
    data.write_text(data.read_text().replace("a cat", "a bat", 1))
    assert prints(transcribe_first=str(data)) != first


def test_bad_corpora_are_one_line(fitted, further, whisper):
    with pytest.raises(UserError, match="no such file or folder: nowhere.csv"):
        fitted(transcribe_first="nowhere.csv")
    with pytest.raises(UserError, match="no clip has match 1"):
        fitted(transcribe_first=str(further("mismatches", match=0)))
    data = further("gone")
    (data.parent / "clip2.wav").unlink()
    where = r"gone/m.csv, row 4 \(id 'c2'\): no such audio file: .*clip2.wav; did you mean"
    with pytest.raises(UserError, match=where):
        fitted(transcribe_first=str(data))
    with pytest.raises(UserError, match=where):
        whisper(weights="scratch", transcribe_first=str(data)).fingerprint()
    (data.parent / "clip2.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"gone/m.csv, row 4 \(id 'c2'\): "):
        fitted(transcribe_first=str(data))
    with pytest.raises(UserError, match="'transcribe_first_epochs'"):
        whisper(transcribe_first_epochs=0)


def test_another_seed_gives_another_order(fitted, corpus, run):
    numbers = [
        fitted(
            run=dataclasses.replace(run, seed=seed), transcribe_first="matches", batch_size=2
        ).predict(corpus.unlabelled(), run)
        for seed in (0, 1)
    ]
    assert np.abs(numbers[0] - numbers[1]).max() > 1e-6
