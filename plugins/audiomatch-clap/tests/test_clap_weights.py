import contextlib
import importlib.util
import os
import shutil

import numpy as np
import pytest
import torch
from audiomatch_clap import laion, loading
from audiomatch_clap.checkpoint import Shape, read_pt
from audiomatch_clap.config import ClapConfig
from audiomatch_clap.features import crops, log_mel
from audiomatch_clap.loading import find, load
from audiomatch_clap.text import TextEncoder
from audiomatch_torch.testing import each_number, smuggle_code
from transformers import ClapModel

from audiomatch.errors import WeightsError

NOT_THERE = not all(importlib.util.find_spec(name) for name in ("laion_clap", "torchlibrosa"))
LAION = "laion-clap's own forward: laion-clap and torchlibrosa are not installed"


def laion_names(model):
    """The tensors of transformers under laion-clap's names, and what else its checkpoints hold."""
    out = {}
    state = model.state_dict()
    for name, tensor in state.items():
        side, _, rest = name.partition(".")
        if side == "text_model" and "_ids" not in name:
            out[f"text_branch.{rest}"] = tensor
        elif side.endswith("_projection"):
            layer, kind = rest.split(".")
            out[f"{side}.{ {'linear1': 0, 'linear2': 2}[layer] }.{kind}"] = tensor
        elif side.startswith("logit_scale"):
            out[name] = tensor
        elif side == "audio_model":
            inner = rest.removeprefix("audio_encoder.")
            if ".self.query." in inner:
                parts = [state[name.replace("query", part)] for part in ("query", "key", "value")]
                tensor = torch.cat(parts)
            elif ".self.key." in inner or ".self.value." in inner:
                continue
            for new, old in (
                ("batch_norm", "bn0"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
                ("attention.self.query", "attn.qkv"), ("attention.output.dense", "attn.proj"),
                ("attention.self", "attn"), ("intermediate.dense", "mlp.fc1"),
                ("output.dense", "mlp.fc2"),
            ):  # fmt: skip
                inner = inner.replace(new, old)
            out[f"audio_branch.{inner}"] = tensor
    width = model.config.audio_config.hidden_size
    shifted = model.audio_model.audio_encoder.layers[0].blocks[1]
    out |= {
        "text_branch.embeddings.position_ids": torch.arange(130)[None],
        "audio_branch.layers.0.blocks.1.attn_mask": shifted.get_attn_mask(
            64, 64, torch.float32, torch.device("cpu")
        ),
        "audio_branch.spectrogram_extractor.stft.conv_real.weight": torch.zeros(513, 1, 1024),
        "audio_branch.spectrogram_extractor.stft.conv_imag.weight": torch.zeros(513, 1, 1024),
        "audio_branch.logmel_extractor.melW": torch.zeros(513, 64),
        "audio_branch.tscam_conv.weight": torch.zeros(5, width, 2, 3),
        "audio_branch.tscam_conv.bias": torch.zeros(5),
        "audio_branch.head.weight": torch.zeros(5, 5),
        "audio_branch.head.bias": torch.zeros(5),
        "audio_transform.sequential.0.weight": torch.zeros(12, 12),
        "text_transform.sequential.0.weight": torch.zeros(12, 12),
    }
    return out


@pytest.fixture(scope="session", params=[False, True], ids=["unfused", "fused"])
def published(request, tmp_path_factory, helpers):
    """A laion-clap checkpoint as training wrote it, its tokenizer, and the model it is made of."""
    text = TextEncoder.of_bytes()
    fused = {"enable_fusion": True, "fusion_type": "aff_2d"} if request.param else {}
    model = helpers.make_model(text.size, 64, 256, (2, 1, 1, 1), **fused)
    folder = tmp_path_factory.mktemp("laion")
    state = {f"module.{key}": value for key, value in laion_names(model).items()}
    best = np.float64(0.5)  # a NumPy scalar, as in music_audioset_epoch_15_esc_90.14.pt
    torch.save({"epoch": 15, "name": "x", "best": best, "state_dict": state}, folder / "clap.pt")
    text.save(folder)
    return folder / "clap.pt", model


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_hub_id_is_loaded_from_the_hubs_cache(pretrained, tmp_path):
    cache = tmp_path / "hub" / "models--laion--clap-htsat-unfused"
    shutil.copytree(pretrained, cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    found = find(ClapConfig())
    assert found.name == "laion/clap-htsat-unfused"
    towers = load(found, ClapConfig())
    wanted = ClapModel.from_pretrained(pretrained).eval()
    mel, ids = torch.randn(2, 201, 16) * 10 - 40, torch.tensor([[0, 40, 41, 2], [0, 42, 2, 1]])
    with torch.no_grad():
        audio = wanted.get_audio_features(mel[:, None]).pooler_output
        text = wanted.get_text_features(ids, (ids != 1).long()).pooler_output
        torch.testing.assert_close(towers.audio(mel), audio)
        torch.testing.assert_close(towers.texts(ids), text)


def test_auto_without_a_hub_is_scratch_and_an_explicit_id_an_error():
    assert find(ClapConfig()).scratch
    with pytest.raises(WeightsError, match="'laion/clap-htsat-fused': not in the hub's cache") as e:
        find(ClapConfig(weights="laion/clap-htsat-fused"))
    one_line(e)


def test_a_pt_runs_by_transformers(published):
    file, model = published
    config = ClapConfig(weights=str(file))
    towers = load(find(config), config)
    shape = Shape.of(read_pt(file), "x")
    assert (shape.mels, shape.spectrogram, shape.depths) == (64, 256, (2, 1, 1, 1))
    mel, ids = torch.randn(1, 1001, 64) * 10 - 40, torch.tensor([[0, 40, 41, 2]])
    with torch.no_grad():
        longer = torch.zeros(1, 1, dtype=torch.bool)
        audio = model.get_audio_features(mel[:, None], is_longer=longer).pooler_output
        text = model.get_text_features(ids, torch.ones_like(ids)).pooler_output
        torch.testing.assert_close(towers.audio(mel), audio)
        torch.testing.assert_close(towers.texts(ids), text)
    extractor = towers.extractor
    fused = model.config.audio_config.enable_fusion
    assert (extractor.truncation == "fusion") == fused
    assert (extractor.sampling_rate, extractor.frequency_min) == (48_000, 50)


@pytest.mark.skipif(NOT_THERE, reason=LAION)
def test_backend_laion_gives_what_laion_clap_gives(published, tmp_path):
    file, _ = published
    config = ClapConfig(weights=str(file), backend="laion")
    by_laion = load(find(config), config)
    by_transformers = load(find(config), ClapConfig(weights=str(file)))
    audio = np.random.default_rng(0).normal(0, 0.1, 100_000).astype(np.float32)
    wave = crops(audio, 480_000, "repeatpad")
    mel = torch.from_numpy(log_mel(wave, by_laion.extractor))
    branch = laion._htsat(Shape.of(read_pt(file), "x")).eval()
    front = {k: v for k, v in branch.state_dict().items() if "extractor" in k}
    branch.load_state_dict({**by_laion.audio_branch.state_dict(), **front})  # its true front end
    given = {"waveform": torch.from_numpy(wave)}
    if branch.enable_fusion:
        given = {"mel_fusion": mel[:, None].repeat(1, 4, 1, 1), "longer": torch.zeros(1, 1)}
    ids = torch.tensor([[0, 40, 41, 2]])
    with torch.no_grad():
        states = branch(given, device="cpu")["embedding"]
        wanted = torch.nn.functional.normalize(by_laion.audio_projection(states), dim=-1)
        torch.testing.assert_close(by_laion.audio(mel), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(by_transformers.audio(mel), wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(by_transformers.texts(ids), by_laion.texts(ids))
        by_laion.save(tmp_path)
        again = loading.restore(tmp_path)
        torch.testing.assert_close(again.audio(mel), by_laion.audio(mel))


def test_backend_laion_says_what_it_needs(published, monkeypatch):
    with pytest.raises(WeightsError, match=r"takes a checkpoint of laion-clap, weights=FILE\.pt"):
        find(ClapConfig(backend="laion"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    laion._htsat_module.cache_clear()
    with pytest.raises(WeightsError, match=r"pip install 'audiomatch-clap\[laion\]'") as error:
        find(ClapConfig(backend="laion", weights=str(published[0])))
    one_line(error)


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm-was-done",)


def test_a_pt_that_wants_to_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.ones(1)}, "optimizer": Harm()}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=r"would run code \(it wants posix\.mkdir\)") as error:
        read_pt(tmp_path / "bad.pt")
    one_line(error)
    assert not (tmp_path / "harm-was-done").exists()


def test_a_damaged_or_other_pt_is_one_line(published, tmp_path):
    whole = published[0].read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"cut\.pt: not readable as a torch checkpoint") as error:
        read_pt(tmp_path / "cut.pt")
    one_line(error)
    torch.save({"state_dict": {"audio_branch.conv1.weight": torch.ones(1)}}, tmp_path / "pann.pt")
    with pytest.raises(WeightsError, match="an HTSAT audio tower") as error:
        read_pt(tmp_path / "pann.pt")
    one_line(error)
    with pytest.raises(WeightsError, match="no such file"):
        find(ClapConfig(weights=str(tmp_path / "gone.pt")))


def test_a_pt_without_a_tokenizer_says_where_to_put_it(published, tmp_path):
    shutil.copy(published[0], tmp_path)
    config = ClapConfig(weights=str(tmp_path / "clap.pt"))
    with pytest.raises(WeightsError, match=r"tokenizer\.json beside clap\.pt, or give") as error:
        load(find(config), config)
    one_line(error)
    config = ClapConfig(weights=str(tmp_path / "clap.pt"), tokenizer=str(published[0].parent))
    assert load(find(config), config).width == 12


def test_vocabulary_and_merges_are_a_tokenizer_too(pretrained, tmp_path):
    text = TextEncoder.read(pretrained)
    ids = text.tokenizer.encode("the dog ran").ids
    text.tokenizer.model.save(str(tmp_path))
    again = TextEncoder.read(tmp_path)
    assert again.tokenizer.encode("the dog ran").ids == ids
    assert again.tokenizer.encode("</s>").ids[1:-1] == text.tokenizer.encode("</s>").ids[1:-1]


@pytest.fixture
def copy(pretrained, tmp_path):
    return shutil.copytree(pretrained, tmp_path / "copy")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"config.json": '{"model_type": "whisper"}'}, "holds a whisper, not a CLAP"),
        ({"config.json": "{"}, "not readable as JSON"),
        ({"preprocessor_config.json": None}, r"no preprocessor_config\.json"),
        ({"tokenizer.json": None}, r"no tokenizer\.json"),
        ({"tokenizer.json": "{}"}, "tokenizer not readable"),
    ],
)
def test_a_bad_folder_is_one_line(copy, change, says):
    for name, content in change.items():
        (copy / name).unlink() if content is None else (copy / name).write_text(content)
    config = ClapConfig(weights=str(copy))
    with pytest.raises(WeightsError, match=says) as error:
        load(find(config), config)
    one_line(error)


def test_truncated_or_unfitting_safetensors_are_one_line(copy, helpers):
    file = copy / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    config = ClapConfig(weights=str(copy))
    with pytest.raises(WeightsError, match="not readable as safetensors") as error:
        load(find(config), config)
    one_line(error)
    other = helpers.make_model(260, depths=(1, 1, 1))
    other.config.save_pretrained(copy)
    file.write_bytes(whole)
    with pytest.raises(WeightsError, match="the model wants|is missing|has no tensor") as error:
        load(find(config), config)
    one_line(error)


def test_no_number_of_a_folder_takes_memory(copy):
    config, refused = ClapConfig(weights=str(copy)), set()
    for name in each_number(copy, 10**9):
        try:
            load(find(config), config)
        except WeightsError as error:
            one_line(pytest.ExceptionInfo.from_exception(error))
            refused.add(name.split("'")[-2])
    assert refused >= {"hidden_size", "vocab_size", "depths", "feature_size", "fft_window_size"}


def test_code_in_a_folder_does_not_run(copy):
    config, ran = ClapConfig(weights=str(copy)), smuggle_code(copy)
    with contextlib.suppress(WeightsError):
        load(find(config), config)
    assert not ran.exists()
