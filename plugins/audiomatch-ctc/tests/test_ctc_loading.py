"""Checkpoints in the published format, loaded as a hub id's would be; and bad ones."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from itertools import groupby
from pathlib import Path

import audiomatch_torch.hub
import numpy as np
import pytest
import safetensors.torch
import torch
from audiomatch_ctc.features import extract
from audiomatch_ctc.loading import LETTERS_ID as HUB_ID
from audiomatch_ctc.loading import find, load
from audiomatch_ctc.matcher import HubertCTCMatcher
from audiomatch_ctc.phones import ARPABET, Phones
from audiomatch_ctc.scorer import CTCScorer
from audiomatch_torch.hub import unreachable
from audiomatch_torch.testing import each_number, smuggle_code
from transformers import AutoModelForCTC

from audiomatch.errors import WeightsError

KINDS = ("hubert", "wav2vec2", "wavlm", "wav2vec2-bert")
PUBLISHED = (*KINDS, "wav2vec2-phones", "wav2vec2-bert-phones", "parakeet")


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(audiomatch_torch.hub, "unreachable", unreachable.__wrapped__)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_checkpoints_give_transformers_own_logits(kind, checkpoint):
    folder = checkpoint(kind)
    scorer = CTCScorer(load(find(str(folder)))).eval()
    model = scorer.model
    assert model.blank == model.network.config.pad_token_id
    theirs = AutoModelForCTC.from_pretrained(folder, local_files_only=True).eval()
    audio = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    own = torch.from_numpy(extract(audio, model.extractor))[None]
    with torch.inference_mode():
        logits = theirs(own).logits
        found = scorer.log_probs(scorer.hidden(own, None))
    assert torch.equal(found, logits.log_softmax(-1))
    assert scorer.frames(torch.tensor([own.shape[1]])).tolist() == [logits.shape[1]]


@pytest.mark.parametrize("kind", PUBLISHED)
def test_texts_are_written_in_the_units_of_the_model(kind, checkpoint):
    model = load(find(str(checkpoint(kind))))
    spelling = model.units.encode("ten hats")
    names = [model.units.names.get(i, "|") for i in spelling.ids.tolist()]
    if "phones" in kind:
        assert names == list("tɛnhæts")
    elif kind == "parakeet":
        assert "".join(names).replace("▁", " ") == " ten hats"
    else:
        assert "".join(names) == "TEN|HATS"
    assert [w for w, _ in groupby(w for w in spelling.words if w >= 0)] == [0, 1]
    assert model.units.joined(spelling.ids) in ("ten hats", "t ɛ n h æ t s")


@pytest.mark.parametrize("kind", ["wavlm", "wav2vec2-bert", "hubert", "parakeet"])
def test_an_encoder_is_given_a_head_of_phones(kind, checkpoint, tmp_path):
    folder = checkpoint(kind, ctc=kind == "parakeet")
    model = load(find(str(folder)), phones=True)
    assert model.fresh and isinstance(model.units, Phones)
    assert set(model.units.names.values()) == set(ARPABET)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    own = model.encoder.state_dict()
    shared = [key for key in own if key in tensors or f"encoder.{key}" in tensors]
    assert shared
    for key in shared:
        assert torch.equal(own[key], tensors.get(key, tensors.get(f"encoder.{key}")))
    model.save(tmp_path)
    again = load(find(str(tmp_path)), phones=True)
    assert not again.fresh and again.units.names == model.units.names


def test_a_model_of_phones_keeps_its_own_head(checkpoint):
    assert not load(find(str(checkpoint("wav2vec2-phones"))), phones=True).fresh


def test_a_processor_in_one_file_is_read(checkpoint):
    """As transformers saves it since its fifth version."""
    folder = checkpoint("parakeet")
    extractor = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": extractor}))
    assert load(find(str(folder))).extractor.hop_length == 160
    extractor["feature_size"] = 10**9
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": extractor}))
    assert "feature_size is 1000000000" in refused(folder)


def test_pickled_tensors_are_read_without_running_code(checkpoint):
    backbone = load(find(str(checkpoint("hubert", pickled=True))))
    assert backbone.network.config.model_type == "hubert"


def test_a_pickle_that_wants_to_run_code_is_refused(checkpoint, tmp_path):
    folder = checkpoint("hubert", pickled=True)

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"lm_head.weight": Evil()}, folder / "pytorch_model.bin")
    assert "would run code" in refused(folder)
    assert not (tmp_path / "ran").exists()


def refused(folder: Path) -> str:
    with pytest.raises(WeightsError) as error:
        load(find(str(folder)))
    line = str(error.value)
    assert "\n" not in line and str(folder) in line
    return line


def test_a_whisper_is_refused(checkpoint):
    folder = checkpoint("hubert")
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    assert "holds a whisper, not a CTC model" in refused(folder)


def test_a_model_without_ctc_head_is_refused(checkpoint):
    assert "has no CTC head" in refused(checkpoint("hubert", ctc=False))


def test_another_shape_is_refused(checkpoint):
    folder = checkpoint("hubert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    assert "the model wants" in refused(folder)


def test_truncated_weights_are_refused(checkpoint):
    file = checkpoint("hubert") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "not readable as safetensors" in refused(file.parent)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("config.json", "no config.json"),
        ("vocab.json", "no vocab.json"),
        ("preprocessor_config.json", "no preprocessor_config.json"),
        ("model.safetensors", "no *.safetensors"),
    ],
)
def test_a_missing_file_is_named(missing, line, checkpoint):
    folder = checkpoint("wav2vec2")
    (folder / missing).unlink()
    assert line in refused(folder)


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        ("vocab.json", {"eng": {"A": 0}}, "one vocabulary a language"),
        ("vocab.json", {"<pad>": 0, "|": 1}, "does not hold the letters"),
        ("tokenizer_config.json", {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"},
         "no unit for the phones AA, AE, AH, "),
        ("preprocessor_config.json",
         {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 8000}, "8000 Hz"),
    ],
)  # fmt: skip
def test_a_processor_that_does_not_fit_is_refused(file, change, line, checkpoint):
    folder = checkpoint("hubert")
    (folder / file).write_text(json.dumps(change))
    assert line in refused(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_hub_id_in_the_cache_is_taken_without_asking(name, checkpoint, no_hub, tmp_path):
    source = checkpoint("hubert", pickled=name.endswith(".bin"))
    repository = tmp_path / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    shutil.copytree(source, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    matcher = HubertCTCMatcher(HubertCTCMatcher.Config())
    found = find("auto")
    assert found.name == HUB_ID
    assert matcher.fingerprint() == {"weights_digest": found.digest}
    assert load(found).network.config.model_type == "hubert"


def test_without_a_hub_auto_is_scratch_and_an_id_is_an_error(no_hub):
    assert HubertCTCMatcher(HubertCTCMatcher.Config()).fingerprint() == {
        "weights_digest": "scratch"
    }
    with pytest.raises(WeightsError, match="not in the hub's cache") as error:
        find(HUB_ID)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2-bert", "parakeet"])
def test_no_number_of_a_folder_takes_memory(kind, checkpoint):
    folder, refused = checkpoint(kind), set()
    for name in each_number(folder, 10**9):
        try:
            load(find(str(folder)))
        except WeightsError as error:
            assert "\n" not in str(error)
            refused.add(name.split("'")[1])
    nested = {"encoder_config"} if kind == "parakeet" else {"hidden_size", "num_hidden_layers"}
    assert refused >= {"vocab_size", "feature_size"} | nested


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2-bert", "parakeet", "wav2vec2-phones"])
def test_code_in_a_folder_does_not_run(kind, checkpoint):
    folder = checkpoint(kind)
    ran = smuggle_code(folder)
    with contextlib.suppress(WeightsError):
        load(find(str(folder)))
    assert not ran.exists()


@pytest.mark.parametrize("vocabulary", [[], "a", {"a": "b"}, {"a": -1}, {"a": 2**40}])
def test_a_vocabulary_that_is_none_is_one_line(vocabulary, checkpoint):
    folder = checkpoint("hubert")
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    assert "\n" not in refused(folder)
