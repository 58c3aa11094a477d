"""Qwen3-ASR (Shi et al., 2026): a language model that reads a prompt with what an encoder heard."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    PreTrainedTokenizerBase,
    Qwen3ASRFeatureExtractor,
    Qwen3ASRForConditionalGeneration,
)
from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE
from audiomatch.errors import WeightsError, unknown
from audiomatch_asr.recogniser import Features, Recogniser, check_tokens
from audiomatch_asr.texts import Ids, Texts

# What the published chat template makes of a clip without context and with the language forced.
# A folder's own template is not run.
BEFORE = "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|audio_start|>"
AFTER = "<|audio_end|><|im_end|>\n<|im_start|>assistant\nlanguage {}<asr_text>"
MARKS = ("<|im_start|>", "<|im_end|>", "<|audio_start|>", "<|audio_end|>", "<asr_text>")
# Of a chunk of 100 frames of 10 ms: transformers' own lengths are for no other.
CHUNK_FRAMES, CHUNK_STATES = 100, 13


class Qwen3ASR(Recogniser):
    """A Qwen3-ASR; its features are frames of log mel energies."""

    Network = Qwen3ASRForConditionalGeneration
    Extractor = Qwen3ASRFeatureExtractor
    before: Tensor
    after: Tensor

    @classmethod
    def of(
        cls, network: Any, extractor: Any, tokenizer: PreTrainedTokenizerBase, language: str
    ) -> Qwen3ASR:
        """Make one of its parts; raises `WeightsError` where they contradict each other."""
        texts = cls.read_texts(tokenizer, network.config, language)
        _check(network.config.audio_config, extractor, tokenizer.name_or_path)
        rate = SAMPLE_RATE / extractor.hop_length
        made = cls(network, extractor, texts, _ends(network.config), rate)
        for name, ids in zip(("before", "after"), _prompt(tokenizer, language), strict=True):
            made.register_buffer(name, torch.from_numpy(ids)[None], persistent=False)
        return made

    @classmethod
    def read_texts(cls, tokenizer: PreTrainedTokenizerBase, config: Any, language: str) -> Texts:
        """Return what cuts texts; raises `WeightsError` where the model knows fewer tokens.

        Raises `UserError` for a language that a Qwen3-ASR was not trained with.
        """
        check_tokens(tokenizer, _ends(config), config.text_config.vocab_size)
        prompt = sum(map(len, _prompt(tokenizer, language)))
        heard = int(np.ceil(MAX_SECONDS * 100 / CHUNK_FRAMES)) * CHUNK_STATES
        return Texts(tokenizer, config.text_config.max_position_embeddings - prompt - heard)

    def features(self, audio: Features) -> Features:
        """Return log mel energies of a clip's samples at 16 kHz: (frames, mels)."""
        found = self.extractor(
            audio, sampling_rate=SAMPLE_RATE, padding=False, n_window=0, return_tensors="np"
        )
        return np.ascontiguousarray(found["input_features"][0].T, dtype=np.float32)

    def encode(self, features: Tensor) -> Tensor:
        """Run the encoder on clips of one length: (n, frames, mels) to (n, frames', d)."""
        rows, frames, _ = features.shape
        padded = torch.nn.functional.pad(features, (0, 0, 0, -frames % CHUNK_FRAMES))
        own = torch.arange(padded.shape[1], device=features.device) < frames
        window = self.network.config.audio_config.n_window_infer // CHUNK_FRAMES * CHUNK_STATES
        found = self.network.model.audio_tower(
            input_features=padded.transpose(1, 2).contiguous(),  # (n, mels, padded)
            input_features_mask=own.long().expand(rows, -1).contiguous(),
            cu_seqlens=_bounds(rows, _states(frames), window),
        ).last_hidden_state  # (n x frames', d)
        states: Tensor = self.network.model.multi_modal_projector(found)
        return states.reshape(rows, -1, states.shape[-1])

    def _logits(self, states: Tensor, given: Tensor) -> Tensor:
        rows = len(given)
        embed = self.network.get_input_embeddings()
        rest = torch.cat([self.after.expand(rows, -1), given], dim=1)
        before = embed(self.before.expand(rows, -1))
        read = torch.cat([before, states.to(before.dtype), embed(rest)], dim=1)
        hidden = self.network.model.language_model(inputs_embeds=read, use_cache=False)
        # The first of the text's tokens follows the prompt's last.
        last = hidden.last_hidden_state[:, -(given.shape[1] + 1) :]
        logits: Tensor = self.network.lm_head(last)
        return logits


def _states(frames: int) -> int:
    """Return how many states are made of a clip's frames; each convolution halves a chunk."""
    chunks, rest = divmod(frames, CHUNK_FRAMES)
    return chunks * CHUNK_STATES + -(-rest // 8)


def _bounds(rows: int, states: int, window: int) -> Tensor:
    """Return where the windows of attention begin and end in the states of clips end to end.

    On the CPU: the encoder would read them off the device, clip by clip.
    """
    begins = [row * states + at for row in range(rows) for at in range(0, states, window)]
    return torch.tensor([*begins, rows * states], dtype=torch.int32)


def _ends(config: Any) -> list[int]:
    """Return the ids at any of which the model stops writing."""
    own = config.eos_token_id
    return list(own) or [-1] if isinstance(own, list | tuple) else [own]


def _prompt(tokenizer: PreTrainedTokenizerBase, language: str) -> tuple[Ids, Ids]:
    """Return the ids before what was heard and after it, each (u,)."""
    if language not in LANGUAGE_CODE_TO_NAME:
        raise unknown("language", language, LANGUAGE_CODE_TO_NAME)
    vocabulary = tokenizer.get_vocab()
    for mark in MARKS:
        if mark not in vocabulary:
            raise WeightsError(
                f"{tokenizer.name_or_path}: the tokenizer has no {mark}, as a Qwen3-ASR's has"
            )
    after = AFTER.format(LANGUAGE_CODE_TO_NAME[language])
    return _ids(tokenizer, BEFORE), _ids(tokenizer, after)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> NDArray[np.int64]:
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)


def _check(config: Any, extractor: Any, name: str) -> None:
    """Raise `WeightsError` where the encoder is not for these features."""
    if extractor.feature_size != config.num_mel_bins:
        raise WeightsError(
            f"{name}: the features have {extractor.feature_size} mels, "
            f"the encoder wants {config.num_mel_bins}"
        )
    windows, rest = divmod(config.n_window_infer, CHUNK_FRAMES)
    if (2 * config.n_window, config.max_position_embeddings, rest) != (
        CHUNK_FRAMES,
        CHUNK_STATES,
        0,
    ) or windows < 1:
        raise WeightsError(
            f"{name}: config.json: the encoder's chunks (n_window, n_window_infer, "
            "max_position_embeddings) are not those of a Qwen3-ASR"
        )
