import numpy as np
import pytest
from audiomatch_clap.features import Mels, crops, log_mel
from audiomatch_clap.text import TextEncoder
from transformers import ClapFeatureExtractor

from audiomatch.errors import ClipError, UserError
from audiomatch.matcher import Run


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_log_mel_is_what_transformers_extracts(truncation, padding):
    extractor = ClapFeatureExtractor(
        max_length_s=1, frequency_min=50, truncation=truncation, padding=padding
    )
    audio = np.random.default_rng(0).normal(0, 0.1, 13_000).astype(np.float32)
    wanted = extractor(audio, sampling_rate=48_000, return_tensors="np")["input_features"][0, 0]
    found = log_mel(crops(audio, 48_000, padding), extractor)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-3)  # dB


def test_crops_of_a_long_clip_cover_it_evenly():
    audio = np.arange(25, dtype=np.float32)
    found = crops(audio, 10, "repeatpad")
    assert found[:, 0].tolist() == [0, 8, 15]
    assert found[-1, -1] == 24
    assert crops(audio[:10], 10, "repeatpad").tolist() == [audio[:10].tolist()]


def test_the_cache_gives_what_was_computed_and_tells_clips_apart(corpus, run):
    extractor = ClapFeatureExtractor(feature_size=16, max_length_s=2)
    fresh = Mels(corpus, extractor, run)
    computed = [fresh[i] for i in range(len(corpus))]
    assert not run.cache.exists()
    assert fresh.keep().tolist() == [len(mel) for mel in computed]
    again = Mels(corpus, extractor, run)
    again.compute = None  # whatever is not in the cache fails
    again.keep()
    for i, mel in enumerate(computed):
        np.testing.assert_array_equal(again[i], mel)
    other = ClapFeatureExtractor(feature_size=16, max_length_s=2, frequency_min=99)
    assert not np.array_equal(Mels(corpus, other, run)[0], computed[0])


def test_a_missing_clip_is_named(corpus, tmp_path):
    gone = corpus.with_column("audio", str(tmp_path / "gone.wav"))
    with pytest.raises(ClipError, match="row 0 .*no such audio file"):
        Mels(gone, ClapFeatureExtractor(), Run(cache=tmp_path)).keep()


def test_texts_are_padded_and_special_tokens_are_only_text(corpus):
    text = TextEncoder.of_bytes()
    odd = corpus.with_column("expected_text", ["</s>", "Zażółć 蓝色", *["moon"] * 10])
    ids = text.encode(odd, 100)
    assert [len(one) for one in ids[:3]] == [6, 2 + len("Zażółć 蓝色".encode()), 6]
    stacked = text.stack(ids[:2])
    assert stacked.shape == (2, 32)
    assert stacked[0, 6:].tolist() == [text.pad] * 26
    with pytest.raises(UserError, match=r"row 1 .*19 tokens.*holds 10"):
        text.encode(odd, 10)
