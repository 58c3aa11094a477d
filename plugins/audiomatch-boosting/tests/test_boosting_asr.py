from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from audiomatch_boosting import audiomatch_matchers
from audiomatch_boosting.features import asr
from audiomatch_boosting.features.heard import heard_features
from audiomatch_whisper.backbone import WhisperTokenizer
from transformers import WhisperConfig as Shape
from transformers import WhisperForConditionalGeneration

from audiomatch import Run, UserError
from audiomatch.clips import Clips
from audiomatch.config import build_config
from audiomatch.offers import import_object

INFOS = {info.name: info for info in audiomatch_matchers()}
FAST = {"rounds": 10, "inner_folds": 2, "patience": 5}
TEXTS = ("moon", "the dog ran", "öl Straße 東京", "%")
both = pytest.mark.parametrize("name", sorted(INFOS))


def whisper_folder(folder, seed=0):
    """A random Whisper of one layer a side and bytes for tokens."""
    torch.manual_seed(seed)
    tokenizer = WhisperTokenizer.of_bytes()
    end = tokenizer.end
    shape = Shape(
        vocab_size=tokenizer.vocabulary_size, d_model=64, init_std=0.1,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1,
        encoder_ffn_dim=64, decoder_ffn_dim=64, bos_token_id=end, eos_token_id=end,
        pad_token_id=end, decoder_start_token_id=tokenizer.prompt[0],
    )  # fmt: skip
    WhisperForConditionalGeneration(shape).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(whisper_folder(tmp_path_factory.mktemp("w") / "whisper"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        seconds = (0.1, 0.7, 1.9)[i % 3]
        wave = 0.1 * rng.standard_normal(int(seconds * 16000)) * (i != 4)  # one is silent
        soundfile.write(folder / f"{i}.wav", wave, 16000)
        row = {"id": str(i), "audio": str(folder / f"{i}.wav"), "expected_text": TEXTS[i % 4]}
        rows.append(row | {"match": i // 4 % 2})
    return Clips(pd.DataFrame(rows))


def make(name, weights, **options):
    matcher = import_object(INFOS[name].load)
    options = {**FAST, "features": "asr", "asr_weights": weights, **options}
    return matcher(build_config(matcher.Config, options, name))


def test_heard_features_count_errors():
    same = heard_features("The dog ran.", "the  Dog ran")
    assert same["asr_word_error_rate"] == same["asr_letter_error_rate"] == 0
    assert same["asr_exact"] == 1
    other = heard_features("the dog ran", "the big cat ran off")
    assert other["asr_word_substitutions"] == 1
    assert other["asr_word_insertions"] == 2
    assert other["asr_word_error_rate"] == pytest.approx(1.0)
    nothing = heard_features("the dog", "")
    assert (nothing["asr_word_deletions"], nothing["asr_letter_deletions"]) == (2, 6)
    assert heard_features("some thing", "something")["asr_letter_error_rate"] == 0


def test_features_are_finite_and_do_not_depend_on_batch_mates(weights, clips, tmp_path):
    hearing = asr.Hearing(weights)
    table = hearing.table(clips, Run(tmp_path / "a"))
    assert table.shape == (12, len(asr.columns()))
    assert np.isfinite(table).all()
    for i in (0, 4, 7, 11):
        alone = hearing.table(clips.take([i]), Run(tmp_path / f"alone{i}"))
        np.testing.assert_allclose(alone[0], table[i], atol=1.5e-3)


def test_text_log_probabilities_are_the_model_s_own(weights, clips, tmp_path):
    """Against transformers' own forward on 30 s, whose encoder needs no cut."""
    hearing = asr.Hearing(weights)
    whisper = asr.load_whisper(hearing.weights)
    text = whisper.tokenizer
    model = WhisperForConditionalGeneration.from_pretrained(weights).eval()
    one = clips.take([1])
    mel = torch.from_numpy(
        asr.LogMels(one, whisper.extractor, Run(tmp_path), "longest", 0.5)(np.array([0]))
    )
    spelled = text.tokenizer.encode(" the dog ran", add_special_tokens=False).ids
    ids = [*text.own_prompt, *spelled, text.end]
    with torch.inference_mode():
        log_p = model(
            encoder_outputs=(asr.encode(whisper.encoder, [mel]).flat[None],),
            decoder_input_ids=torch.tensor([ids]),
        ).logits.log_softmax(-1)[0]
    start = len(text.own_prompt)
    own = [float(log_p[i - 1, ids[i]]) for i in range(start, len(ids))]
    found = dict(zip(asr.columns(), hearing.table(one, Run(tmp_path / "b"))[0], strict=True))
    assert found["asr_log_p_mean"] == pytest.approx(np.mean(own[:-1]), abs=2e-3)
    assert found["asr_log_p_end"] == pytest.approx(own[-1], abs=2e-3)
    assert found["asr_word_log_p_first"] == pytest.approx(sum(own[:4]), abs=2e-3)  # " the"
    assert found["asr_word_log_p_last"] == pytest.approx(sum(own[8:12]), abs=2e-3)  # " ran"


def test_what_was_heard_is_kept_by_weights_audio_and_text(weights, clips, tmp_path, monkeypatch):
    run = Run(tmp_path / "cache")
    first = asr.Hearing(weights).table(clips, run)
    with monkeypatch.context() as patch:
        patch.setattr(asr, "load_whisper", lambda weights: pytest.fail("loaded the Whisper again"))
        np.testing.assert_array_equal(asr.Hearing(weights).table(clips, run), first)
    other = asr.Hearing(str(whisper_folder(tmp_path / "other", seed=1)))
    assert (other.table(clips, run) != first).any()
    moved = clips.with_column("expected_text", ["a green hat"] * len(clips))
    assert (asr.Hearing(weights).table(moved, run) != first).any()


@both
def test_fits_saves_and_refuses_other_weights(name, weights, clips, tmp_path):
    matcher, run = make(name, weights), Run(tmp_path / "cache")
    matcher.fit(clips, run)
    assert run.notes["asr_weights"] == weights
    assert run.notes["asr_weights_digest"] == matcher.fingerprint()["asr_weights_digest"]
    p = matcher.predict(clips.unlabelled(), run)
    (tmp_path / "saved").mkdir()
    matcher.save(tmp_path / "saved")
    again = make(name, weights)
    again.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict(clips.unlabelled(), run), p)
    other = make(name, str(whisper_folder(tmp_path / "other", seed=1)))
    assert other.fingerprint() != matcher.fingerprint()
    with pytest.raises(UserError, match="other Whisper weights") as caught:
        other.load(tmp_path / "saved")
    assert "\n" not in str(caught.value)


def test_both_holds_the_columns_of_audio_and_asr(weights, clips, tmp_path):
    def columns(features):
        matcher = make("xgboost", weights, features=features)
        matcher.fit(clips, Run(tmp_path / "cache"))
        return set(matcher.columns)

    assert columns("both") == columns("audio") | columns("asr")
    assert "pitch_median" not in columns("asr")
    assert set(asr.columns()) <= columns("asr")


def test_a_missing_package_names_the_install(monkeypatch, weights):
    for module in [name for name in sys.modules if name.startswith("audiomatch_whisper.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "audiomatch_boosting.features.asr")
    monkeypatch.setitem(sys.modules, "audiomatch_whisper.backbone", None)
    with pytest.raises(UserError, match=r"pip install 'audiomatch-boosting\[asr\]'") as caught:
        make("xgboost", weights).fingerprint()
    assert "\n" not in str(caught.value)
    assert "asr_weights_digest" not in make("xgboost", weights, features="audio").fingerprint()


def test_a_whisper_from_scratch_is_refused():
    with pytest.raises(UserError, match="hears nothing"):
        make("xgboost", "scratch")


@pytest.mark.slow
def test_a_real_whisper_hears_matches_better(tmp_path):
    from audiomatch.datasets.mini_screener import open_mini_screener

    clips = open_mini_screener(None, True)
    some = [*np.flatnonzero(clips.labels == 1)[:9], *np.flatnonzero(clips.labels == 0)[:9]]
    clips = clips.take(some)
    table = asr.Hearing("auto").table(clips, Run(tmp_path))
    found = dict(zip(asr.columns(), table.T, strict=True))
    for name, sign in (("asr_letter_error_rate", -1), ("asr_log_p_mean", 1)):
        values = sign * found[name]
        # Not the means: where it repeats itself the error rate of one clip has no bound.
        matches, others = (np.median(values[clips.labels == label]) for label in (1, 0))
        assert matches > others, name
