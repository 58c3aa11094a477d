"""Moonshine (Jeffries et al., 2024): an encoder-decoder of waveforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    MoonshineForConditionalGeneration,
    PreTrainedTokenizerBase,
    Wav2Vec2FeatureExtractor,
)

from audiomatch.audio import SAMPLE_RATE
from audiomatch.errors import UserError
from audiomatch_asr.recogniser import Features, Recogniser, check_tokens
from audiomatch_asr.texts import Texts

# A shorter clip is followed by silence up to this: the convolutions need 56 ms for one frame.
LEAST_SAMPLES = SAMPLE_RATE // 10


class Moonshine(Recogniser):
    """A Moonshine; its features are samples."""

    Network = MoonshineForConditionalGeneration
    Extractor = Wav2Vec2FeatureExtractor

    @classmethod
    def of(
        cls, network: Any, extractor: Any, tokenizer: PreTrainedTokenizerBase, language: str
    ) -> Moonshine:
        """Make one of its parts; raises `WeightsError` where they contradict each other."""
        texts = cls.read_texts(tokenizer, network.config, language)
        return cls(network, extractor, texts, [network.config.eos_token_id], SAMPLE_RATE)

    @classmethod
    def read_texts(cls, tokenizer: PreTrainedTokenizerBase, config: Any, language: str) -> Texts:
        """Return what cuts texts; raises `WeightsError` where the model knows fewer tokens."""
        if language != "en":
            raise UserError(
                f"asr: language={language}: a Moonshine is not told the language; "
                "leave the option out, or give weights=FOLDER of a Qwen3-ASR"
            )
        also = (config.decoder_start_token_id, config.eos_token_id)
        check_tokens(tokenizer, also, config.vocab_size)
        return Texts(tokenizer, config.max_position_embeddings - 1)

    def features(self, audio: Features) -> Features:
        """Return what the encoder is given of a clip's samples at 16 kHz: (samples,)."""
        wave = np.pad(audio, (0, max(0, LEAST_SAMPLES - len(audio))))
        found = self.extractor(wave, sampling_rate=SAMPLE_RATE, padding=False, return_tensors="np")
        return np.asarray(found["input_values"][0], dtype=np.float32)

    def encode(self, features: Tensor) -> Tensor:
        """Run the encoder on clips of one length: (n, samples) to (n, frames, d).

        A mask does not make up for padding: the stem normalises over time, padding included.
        """
        states: Tensor = self.network.model.encoder(features).last_hidden_state
        return states

    def _logits(self, states: Tensor, given: Tensor) -> Tensor:
        first = torch.full_like(given[:, :1], self.network.config.decoder_start_token_id)
        decoded = self.network.model.decoder(
            input_ids=torch.cat([first, given], dim=1),
            encoder_hidden_states=states,
            use_cache=False,
        )
        logits: Tensor = self.network.proj_out(decoded.last_hidden_state)
        return logits
