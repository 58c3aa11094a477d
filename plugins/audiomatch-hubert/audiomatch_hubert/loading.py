"""From weights on disk to a CTC model with its processor, or one from scratch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiomatch_torch import (
    Weights,
    build_network,
    check_config,
    check_preprocessor,
    first_line,
    load_into,
    load_pickled,
    load_tensors,
    model_type,
    quiet_transformers,
    resolve_weights,
    save_tensors,
)
from torch import Tensor
from transformers import (
    MODEL_FOR_CTC_MAPPING,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCTC,
    PreTrainedModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

from audiomatch.audio import SAMPLE_RATE
from audiomatch.errors import WeightsError
from audiomatch_hubert.alphabet import Alphabet
from audiomatch_hubert.features import Extractor
from audiomatch_hubert.scratch import scratch_parts

HUB_ID = "facebook/hubert-large-ls960-ft"
SCRATCH_WARNING = (
    f"no pretrained CTC weights here, trained from scratch; with a hub at hand weights=auto takes "
    f"{HUB_ID}; or give weights=FOLDER of a CTC model"
)
# Published before torch named the parts of a weight norm otherwise.
_RENAMED = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}
# SpecAugment's filler, which many published checkpoints lack; it is not used here.
_OPTIONAL = "masked_spec_embed"


@dataclass
class CTCModel:
    """A CTC model with what goes in: audio by the extractor, texts by the alphabet."""

    network: PreTrainedModel
    extractor: Extractor
    tokenizer: Wav2Vec2CTCTokenizer

    def __post_init__(self) -> None:
        self.alphabet = Alphabet(self.tokenizer.get_vocab(), self.tokenizer.word_delimiter_token)
        self.blank = int(self.tokenizer.pad_token_id)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: config, processor, model.safetensors."""
        self.network.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        save_tensors(self.network.state_dict(), folder / "model.safetensors")


def find(asked: str) -> Weights:
    """Resolve the option `weights`: `auto` without a hub is `scratch`; raises `WeightsError`."""
    return resolve_weights(asked, HUB_ID, pickled=True, scratch_warning=SCRATCH_WARNING)


def load(weights: Weights, width: int = 96, layers: int = 2) -> CTCModel:
    """Load what `find` found; raises `WeightsError` where it is no CTC model or damaged.

    `width` and `layers` are those of a model from scratch.
    """
    if weights.folder is None:
        shape, mel, letters = scratch_parts(width, layers)
        return CTCModel(AutoModelForCTC.from_config(shape).eval(), mel, letters)
    folder = weights.folder
    tensors = {k: v for file in weights.files for k, v in _tensors(file).items()}
    config = _config(folder)
    check_config(folder, tensors)
    with quiet_transformers():
        extractor, tokenizer = _extractor(folder), _tokenizer(folder)
    if not 0 <= tokenizer.pad_token_id < config.vocab_size:
        raise WeightsError(f"{folder}: the tokenizer's blank is not among the model's characters")
    # SpecAugment and dropped layers are for long training, and fail on the shortest clips.
    config.apply_spec_augment, config.layerdrop = False, 0.0
    model = build_network(_network, lambda: config, tensors, str(folder / "config.json"))
    _fill(model, tensors, str(folder))
    whole = CTCModel(model.eval(), extractor, tokenizer)
    largest = max(whole.alphabet.ids.values(), default=0)
    if not whole.alphabet.letters or largest >= config.vocab_size:
        raise WeightsError(f"{folder}: vocab.json does not hold the letters that the model writes")
    return whole


def _fill(model: PreTrainedModel, tensors: dict[str, Tensor], name: str) -> None:
    if not any(key.startswith("lm_head.") for key in tensors):
        raise WeightsError(
            f"{name}: has no CTC head (lm_head); take one fine-tuned for CTC, such as {HUB_ID}"
        )
    for old, new in _RENAMED.items():
        tensors = {k.replace(old, new) if k.endswith(old) else k: v for k, v in tensors.items()}
    for key, tensor in model.state_dict().items():
        if key.endswith(_OPTIONAL):
            tensors.setdefault(key, tensor)
    load_into(model, tensors, name)
    for key, parameter in model.named_parameters():
        if key.endswith(_OPTIONAL):
            parameter.requires_grad = False


def _network(config: Any) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCTC.from_config(config, trust_remote_code=False)
    return model


def _config(folder: Path) -> Any:
    fitting = {config.model_type for config in MODEL_FOR_CTC_MAPPING}
    model_type(folder, fitting, "a CTC model (hubert, wav2vec2, wavlm, ...)")
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - validation errors of several libraries
        raise WeightsError(f"{folder}: config.json: {first_line(error)}") from None


def _extractor(folder: Path) -> Extractor:
    check_preprocessor(folder)
    try:
        extractor = AutoFeatureExtractor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 - what contradicts itself fails in many ways
        raise WeightsError(
            f"{folder}: no readable preprocessor_config.json ({first_line(error)})"
        ) from None
    if not isinstance(extractor, Wav2Vec2FeatureExtractor | SeamlessM4TFeatureExtractor):
        raise WeightsError(
            f"{folder}: its {type(extractor).__name__} is not supported; "
            "Wav2Vec2FeatureExtractor and SeamlessM4TFeatureExtractor are"
        )
    if extractor.sampling_rate != SAMPLE_RATE:
        raise WeightsError(f"{folder}: is for {extractor.sampling_rate} Hz, not {SAMPLE_RATE} Hz")
    return extractor


def _tokenizer(folder: Path) -> Wav2Vec2CTCTokenizer:
    try:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        settings = folder / "tokenizer_config.json"
        kind = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        if "Phoneme" in str(kind.get("tokenizer_class", "")):
            raise WeightsError(f"{folder}: writes phonemes; take a model that writes letters")
        if any(isinstance(ids, dict) for ids in vocabulary.values()):
            raise WeightsError(f"{folder}: one vocabulary a language; take a model of one language")
        if not all(type(i) is int and 0 <= i < 2**31 for i in vocabulary.values()):
            raise WeightsError(f"{folder}: vocab.json must give each character a number")
        tokenizer: Wav2Vec2CTCTokenizer = Wav2Vec2CTCTokenizer.from_pretrained(
            folder, local_files_only=True
        )
        return tokenizer
    except FileNotFoundError:
        raise WeightsError(f"{folder}: no vocab.json; copy it from the original model") from None
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 - of a vocabulary that is none, several libraries'
        raise WeightsError(
            f"{folder}: the tokenizer is not readable ({first_line(error)})"
        ) from None


def _tensors(file: Path) -> dict[str, Tensor]:
    return load_tensors(file) if file.suffix == ".safetensors" else load_pickled(file)
