"""Fine-tuning by low-rank adapters."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from audiomatch_torch import load_tensors

from audiomatch.errors import UserError

FAST = {"epochs": 2, "batch_size": 4, "lora": 4}
ADAPTED = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "out_proj.weight", "fc1.weight")


@pytest.mark.parametrize("layers", ["all", 1, 0])
def test_only_the_adapted_matrices_move_and_by_the_rank(fitted, folders, layers):
    before = load_tensors(folders["bytes"] / "model.safetensors")
    after = fitted(encoder_layers=layers, average_last=0.5)._model.model.state_dict()
    for name, tensor in before.items():
        change = after[name] - tensor
        sides = (".layers.",) if layers else (".decoder.layers.",)
        if any(side in name for side in sides) and name.endswith((*ADAPTED, "fc2.weight")):
            assert 1 <= torch.linalg.matrix_rank(change, tol=1e-5) <= 4, name
        else:
            assert not change.any(), name


def test_same_seed_same_numbers_and_training_moves_them(fitted, corpus, run):
    first, second, untrained, half = (
        fitted(**options).predict(corpus.unlabelled(), run)
        for options in ({}, {}, {"epochs": 0}, {"lora": 2})
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - untrained).max() > 1e-3
    assert np.abs(first - half).max() > 1e-5


def test_adapters_that_are_not_trained_change_nothing(fitted, corpus, run):
    p = [fitted(lora=r, epochs=0).predict(corpus.unlabelled(), run) for r in (0, 4)]
    np.testing.assert_array_equal(*p)


@pytest.mark.parametrize("options", [{"encoder_layers": "quarter"}, {}, {"score": "same-position"}])
def test_what_is_saved_is_a_plain_whisper(fitted, folders, corpus, run, tmp_path, options):
    matcher = fitted(**options)
    before = matcher.predict(corpus.unlabelled(), run)
    folder = tmp_path / "saved"
    folder.mkdir()
    matcher.save(folder)
    names = set(load_tensors(folder / "model.safetensors"))
    assert names == set(load_tensors(folders["bytes"] / "model.safetensors"))
    # A process that has no peft.
    code = (
        "import sys; sys.modules['peft'] = None\n"
        "from pathlib import Path\n"
        "import numpy as np, pandas as pd\n"
        "from audiomatch import Run\n"
        "from audiomatch.clips import Clips\n"
        "from audiomatch_whisper.matcher import WhisperMatcher\n"
        f"matcher = WhisperMatcher(WhisperMatcher.Config(**{ {**FAST, **options}!r}))\n"
        f"matcher.load(Path({str(folder)!r}))\n"
        f"clips = Clips(pd.read_json({str(tmp_path / 'clips.json')!r}))\n"
        f"p = matcher.predict(clips, Run(cache=Path({str(tmp_path)!r})))\n"
        f"np.save({str(tmp_path / 'p.npy')!r}, p)\n"
    )
    corpus.unlabelled().frame[["id", "audio", "expected_text"]].to_json(tmp_path / "clips.json")
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), before, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora": -1}, "'lora'"),
        ({"lora": 257}, "'lora'"),
        ({"lora": 8, "embeddings": "trained"}, "lora .*take embeddings=frozen"),
    ],
)
def test_options_that_cannot_be_are_refused(whisper, options, message):
    with pytest.raises(UserError, match=message):
        whisper(**options)
