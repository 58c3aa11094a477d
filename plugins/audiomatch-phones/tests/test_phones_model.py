"""The acoustic model, how texts are said, and where their phones are found."""

from __future__ import annotations

import numpy as np
import pocketsphinx
import pytest
from audiomatch_phones import front_end
from audiomatch_phones.acoustics import SILENCE, acoustics
from audiomatch_phones.alignment import align
from audiomatch_phones.evidence import PHONES, Evidence, measure
from audiomatch_phones.letters import letter_model
from audiomatch_phones.model_files import read_parameters
from audiomatch_phones.pronouncing import number_in_words, pronunciations
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch.audio import load_audio
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.errors import WeightsError
from audiomatch.text import normalise_text


def said(text):
    return [pronunciations(word) for word in normalise_text(text).split()]


@pytest.fixture(scope="module")
def sentence():
    """A recording of a sentence of mini-screener, and the sentence."""
    clips = open_mini_screener(None, True)
    rows = zip(clips.texts, clips.labels, clips["voice"], strict=True)
    at = next(i for i, (t, match, v) in enumerate(rows) if match and len(t.split()) > 5)
    return load_audio(clips.paths[at]), clips.texts[at]


def test_features_and_senones_are_those_of_pocketsphinx(sentence, tmp_path):
    samples, _ = sentence
    folder = str(tmp_path)
    decoder = pocketsphinx.Decoder(
        lm=None, mfclogdir=folder, senlogdir=folder, compallsen=True, loglevel="FATAL"
    )
    decoder.add_allphone_file("phones", None)
    decoder.activate_search("phones")
    decoder.start_utt()
    decoder.process_raw(np.rint(samples * 32768).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    [cepstra] = tmp_path.glob("*.mfc")
    wanted = np.frombuffer(cepstra.read_bytes(), ">f4", offset=4).reshape(-1, 13)
    found = front_end.features(samples)[0][:, 0]
    assert np.abs(found - (wanted - wanted.mean(axis=0))).max() < 1e-3
    [scores] = tmp_path.glob("*.sen")
    rows = np.frombuffer(scores.read_bytes().partition(b"endhdr\n")[2][4:], "<i2")
    rows = rows.reshape(len(wanted), -1)[:, 1:]  # before the scores stands how many they are
    best = acoustics().score_features(front_end.features(samples)[0], 1.0)
    own = best.ordered[:, best.column].argmax(axis=1)
    # pocketsphinx scores by the four best Gaussians of each codebook alone.
    assert np.mean(own == rows.argmin(axis=1)) > 0.7


def test_a_model_that_is_none_is_named(tmp_path):
    with pytest.raises(WeightsError, match="mdef"):
        read_parameters(tmp_path)
    for name in ("mdef", "means", "variances", "sendump", "transition_matrices"):
        (tmp_path / name).write_bytes(b"s3\nendhdr\n")
    with pytest.raises(WeightsError, match="no acoustic model"):
        read_parameters(tmp_path)


def test_every_way_to_say_a_word_is_right():
    assert {("R", "EH", "D"), ("R", "IY", "D")} <= set(pronunciations("read"))
    model = acoustics()
    assert set(PHONES) < set(model.number) and SILENCE not in PHONES


@pytest.mark.parametrize(
    ("word", "way"),
    [
        ("dora's", "D AO R AH Z"),
        ("7", "S EH V AH N"),
        ("21", "T W EH N T IY W AH N"),
        ("2.5", "T UW P OY N T F AY V"),
        ("%", "P ER S EH N T"),
        ("chav", "CH AE V"),
    ],
)
def test_words_that_no_dictionary_has(word, way):
    assert tuple(way.split()) in pronunciations(word)


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"),
        ("90", "ninety"),
        ("115", "one hundred fifteen"),
        ("20300", "twenty thousand three hundred"),
        ("007", "zero zero seven"),
        ("12345678", "one two three four five six seven eight"),
    ],
)
def test_numbers_in_words(digits, words):
    assert number_in_words(digits) == words


@settings(max_examples=20, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_any_letters_can_be_said(word):
    for way in letter_model().pronounce(word, 3):
        assert way and set(way) <= set(PHONES)


def test_a_script_that_is_not_known_has_no_phones():
    assert pronunciations("蓝色") == ()
    assert pronunciations("naïve") == pronunciations("naive")


def test_phones_stand_in_order_and_are_where_they_are_said(sentence):
    samples, text = sentence
    whole, double = (measure(x, [said(text)])[0] for x in (samples, np.tile(samples, 2)))
    spans = whole.span
    assert (spans[:, 0] <= spans[:, 1]).all() and (spans[1:, 0] >= spans[:-1, 1]).all()
    assert (whole.frames >= 3).mean() > 0.9  # three states each
    # Said twice, half of the speech is not the text's.
    assert whole.inside > 0.8 and double.inside == pytest.approx(whole.inside / 2, abs=0.1)


def test_the_way_that_was_said_is_taken(sentence):
    samples, text = sentence
    words = said(text)
    wrong = [("ZH", "OY", "ZH", "OY")]
    both = [[*wrong, *ways] for ways in words]
    heard, model = acoustics().score(samples), acoustics()
    one, other = (align(heard, model, ways) for ways in (words, both))
    assert [p.phone for p in one.phones] == [p.phone for p in other.phones]


def test_what_is_kept_is_what_was_found(sentence):
    samples, text = sentence
    [one] = measure(samples, [said(text)])
    again = Evidence.from_array(one.to_array())
    np.testing.assert_allclose(again.goodness, one.goodness, rtol=1e-5)
    assert (again.span == one.span).all() and (again.heard == one.heard).all()


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.0])
def test_short_and_silent_clips_have_finite_scores(seconds):
    count = int(seconds * 16000)
    noise = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    for samples in (np.zeros(count, np.float32), 0.1 * noise):
        [one, none] = measure(samples, [said("the cat sat"), []])
        assert np.isfinite(one.goodness).all() and len(none.phone) == 0
