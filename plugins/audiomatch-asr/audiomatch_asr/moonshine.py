"""Moonshine (Jeffries et al., 2024): an encoder-decoder of waveforms, and its texts.

Another architecture needs the same: `texts`, `samples`, `encode` and `log_probs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from audiomatch_torch import (
    Weights,
    build_network,
    check_config,
    load_into,
    load_tensors,
    model_type,
    read_auto_config,
    read_extractor,
    read_fast_tokenizer,
    resolve_weights,
    save_tensors,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    MoonshineForConditionalGeneration,
    PreTrainedTokenizerBase,
    Wav2Vec2FeatureExtractor,
)

from audiomatch.audio import SAMPLE_RATE
from audiomatch.errors import WeightsError
from audiomatch_asr.texts import Ids, Texts

HUB_ID = "UsefulSensors/moonshine-base"
# A shorter clip is followed by silence up to this: the convolutions need 56 ms for one frame.
LEAST_SAMPLES = SAMPLE_RATE // 10


class Moonshine(nn.Module):
    """A Moonshine with what goes in and what it writes.

    Attributes:
        network: of transformers.
        extractor: makes its input of audio.
        texts: cuts texts into its tokens.
    """

    def __init__(
        self,
        network: MoonshineForConditionalGeneration,
        extractor: Wav2Vec2FeatureExtractor,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.extractor = extractor
        config = self.network.config
        self.first, self.end = config.decoder_start_token_id, config.eos_token_id
        self.texts = _texts(tokenizer, config)

    def samples(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the encoder is given of a clip's samples at 16 kHz: (samples,)."""
        wave = np.pad(audio, (0, max(0, LEAST_SAMPLES - len(audio))))
        found = self.extractor(wave, sampling_rate=SAMPLE_RATE, padding=False, return_tensors="np")
        return np.asarray(found["input_values"][0], dtype=np.float32)

    def encode(self, samples: Tensor) -> Tensor:
        """Run the encoder on clips of one length: (n, samples) to (n, frames, d).

        A mask does not make up for padding: the stem normalises over time, padding included.
        """
        states: Tensor = self.network.model.encoder(samples).last_hidden_state
        return states

    def log_probs(self, states: Tensor, texts: Sequence[Ids]) -> Tensor:
        """Return the log probability of each token of each text and of its end, given the speech.

        Args:
            states: of `encode`, (n, frames, d).
            texts: n arrays of ids; text i is read against clip i.

        Returns:
            float32 (n, tokens of the longest + 1), 0 after a text's end.
        """
        counts = torch.tensor([len(text) for text in texts])
        targets = torch.full((len(texts), int(counts.max()) + 1), self.end)
        for row, text in zip(targets, texts, strict=True):
            row[: len(text)] = torch.from_numpy(text)
        # Nothing that follows a token changes its probability, so what pads may be the end too.
        inputs = torch.cat([torch.full((len(texts), 1), self.first), targets[:, :-1]], dim=1)
        own = (torch.arange(targets.shape[1]) <= counts[:, None]).to(states.device)
        decoded = self.network.model.decoder(
            input_ids=inputs.to(states.device), encoder_hidden_states=states, use_cache=False
        )
        logits = self.network.proj_out(decoded.last_hidden_state).float()  # (n, t, v)
        chosen = logits.gather(2, targets.to(states.device)[:, :, None])[:, :, 0]
        log_p: Tensor = (chosen - logits.logsumexp(2)) * own
        return log_p

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: config, processor, model.safetensors."""
        self.network.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        self.texts.tokenizer.save_pretrained(folder)
        save_tensors(self.network.state_dict(), folder / "model.safetensors")


def find(asked: str) -> Weights:
    """Resolve the option `weights`; raises `WeightsError`."""
    return resolve_weights(asked, HUB_ID, scratch=False)


def read_texts(weights: Weights) -> Texts:
    """Return what cuts texts, without the model; raises `WeightsError`."""
    folder = _folder(weights)
    return _texts(read_fast_tokenizer(folder), read_auto_config(folder))


def load(weights: Weights) -> Moonshine:
    """Load what `find` found; raises `WeightsError` where it is no Moonshine or damaged."""
    folder = _folder(weights)
    tensors = {key: t for file in weights.files for key, t in load_tensors(file).items()}
    check_config(folder, tensors)
    config = read_auto_config(folder)
    network = build_network(
        MoonshineForConditionalGeneration, lambda: config, tensors, str(folder / "config.json")
    ).float()
    load_into(network, tensors, str(folder))
    extractor = read_extractor(folder, (Wav2Vec2FeatureExtractor,))
    return Moonshine(network.eval(), extractor, read_fast_tokenizer(folder))


def _folder(weights: Weights) -> Path:
    assert weights.folder is not None  # there is no Moonshine from scratch
    model_type(weights.folder, ("moonshine",), "a Moonshine")
    return weights.folder


def _texts(tokenizer: PreTrainedTokenizerBase, config: Any) -> Texts:
    """Return what cuts texts; raises `WeightsError` where the model knows fewer tokens."""
    known = (config.decoder_start_token_id, config.eos_token_id, *tokenizer.get_vocab().values())
    if not all(type(i) is int and 0 <= i < config.vocab_size for i in known):
        raise WeightsError(
            f"{tokenizer.name_or_path}: the tokenizer has other tokens than the model"
        )
    return Texts(tokenizer, config.max_position_embeddings - 1)
