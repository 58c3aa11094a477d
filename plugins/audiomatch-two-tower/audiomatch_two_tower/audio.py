"""Audio encoders: from a clip's array to a sequence of states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import cast

import numpy as np
from audiomatch_torch import load_into, load_tensors, save_tensors
from audiomatch_whisper.backbone import Encoder, MelExtractor, encode, log_mel
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from audiomatch.audio import SAMPLE_RATE
from audiomatch_two_tower.features import normalised_wave

MEL_RATE = 100
MARGIN = 0.1  # seconds of silence after the clip, where a convolution still hears its end


class AudioEncoder(nn.Module, ABC):
    """What turns clips into states.

    Attributes:
        width: numbers in a state.
        rate: steps a second of what `prepare` gives.
    """

    width: int
    rate: int

    @abstractmethod
    def prepare(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn one clip, float32 of shape (samples,), into an array with time last."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Equally long prepared clips (n, ..., time) to states (n, t, width)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the encoder into an existing folder."""


class CnnEncoder(AudioEncoder):
    """Three strided convolutions over an 80-bin log-mel, 12.5 states a second.

    Group normalisation looks at one clip at a time, so a clip's states are its own.
    """

    rate = MEL_RATE
    bins = 80
    channels = (64, 96, 128)

    def __init__(self) -> None:
        super().__init__()
        self.extractor = MelExtractor(self.bins)
        into = (self.bins, *self.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel, stride=2, padding=kernel // 2)
            for a, b, kernel in zip(into[:-1], self.channels, (5, 5, 3), strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in self.channels)
        self.width = self.channels[-1]

    def prepare(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Whisper's log-mel, shape (80, frames)."""
        return log_mel(audio, self.extractor, MARGIN)

    def forward(self, inputs: Tensor) -> Tensor:
        """Log-mel (n, 80, frames) to states (n, frames / 8, 128)."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            inputs = functional.gelu(norm(convolution(inputs)))
        return inputs.transpose(1, 2)

    def save(self, folder: Path) -> None:
        """Write model.safetensors."""
        save_tensors(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def read(cls, folder: Path) -> CnnEncoder:
        """Restore what `save` wrote; raises `WeightsError`."""
        encoder = cls()
        file = folder / "model.safetensors"
        load_into(encoder, load_tensors(file), str(file))
        return encoder


class TransformerEncoder(AudioEncoder):
    """A pretrained encoder of transformers, saved in its own layout."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.width = int(model.config.hidden_size)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        self.model.config.save_pretrained(folder)
        save_tensors(self.model.state_dict(), folder / "model.safetensors")


class WhisperTower(AudioEncoder):
    """The encoder of a Whisper (Radford et al., 2022), 50 states a second."""

    rate = MEL_RATE

    def __init__(self, model: Encoder) -> None:
        super().__init__()
        self.model = model
        self.width = model.config.d_model
        self.extractor = MelExtractor(model.config.num_mel_bins)

    def prepare(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return Whisper's log-mel, shape (mels, frames)."""
        return log_mel(audio, self.extractor, MARGIN)

    def forward(self, inputs: Tensor) -> Tensor:
        """Log-mel (n, mels, frames) to states (n, frames / 2, width)."""
        states = encode(self.model, [inputs])
        out: Tensor = states.flat.unflatten(0, (len(inputs), -1))
        return out

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        self.model.config.save(folder)
        save_tensors(self.model.state_dict(), folder / "model.safetensors")


class WaveTower(TransformerEncoder):
    """HuBERT (Hsu et al., 2021) or its kin over the waveform, 50 states a second."""

    rate = SAMPLE_RATE

    def prepare(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the normalised waveform, shape (samples,)."""
        return normalised_wave(audio)

    def forward(self, inputs: Tensor) -> Tensor:
        """Waves (n, samples) to states (n, t, width)."""
        return cast(Tensor, self.model(inputs).last_hidden_state)
