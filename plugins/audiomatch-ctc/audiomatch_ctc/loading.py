"""From weights on disk to a CTC model with its processor, or one from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiomatch_torch import (
    Weights,
    build_network,
    check_config,
    load_into,
    load_pickled,
    load_tensors,
    model_type,
    quiet_transformers,
    read_auto_config,
    read_extractor,
    resolve_weights,
    save_tensors,
)
from torch import Tensor
from transformers import (
    MODEL_FOR_CTC_MAPPING,
    AutoModelForCTC,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from audiomatch.errors import WeightsError
from audiomatch_ctc.features import Extractor
from audiomatch_ctc.phones import Phones
from audiomatch_ctc.processor import EXTRACTORS, read_tokenizer, units_of
from audiomatch_ctc.scratch import phone_tokenizer, scratch_parts

LETTERS_ID = "facebook/hubert-large-ls960-ft"
PHONES_ID = "facebook/wav2vec2-lv-60-espeak-cv-ft"
SCRATCH_WARNING = (
    "no pretrained CTC weights here, trained from scratch; with a hub at hand weights=auto takes "
    "{hub_id}; or give weights=FOLDER of a CTC model"
)
_HEADS = ("lm_head.", "ctc_head.")
# Published before torch named the parts of a weight norm otherwise.
_RENAMED = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}
# SpecAugment's filler, which many published checkpoints lack; it is not used here.
_OPTIONAL = "masked_spec_embed"


@dataclass
class CTCModel:
    """A CTC model with what goes in and what it writes.

    Attributes:
        network: of transformers.
        extractor: makes its input of audio.
        tokenizer: of transformers, kept to be saved.
        fresh: whether its CTC head is new, and knows nothing.
    """

    network: PreTrainedModel
    extractor: Extractor
    tokenizer: PreTrainedTokenizerBase
    fresh: bool = False

    def __post_init__(self) -> None:
        self.units = units_of(self.tokenizer, self.tokenizer.name_or_path or "the tokenizer")
        self.blank = int(self.tokenizer.pad_token_id)

    @property
    def encoder(self) -> Any:
        """The part below the head."""
        return getattr(self.network, encoder_name(self.network))

    @property
    def head(self) -> Any:
        """The CTC head: hidden states (n, t, d) to logits (n, t, v)."""
        return getattr(self.network, "lm_head", None) or self.network.ctc_head

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: config, processor, model.safetensors."""
        self.network.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        save_tensors(self.network.state_dict(), folder / "model.safetensors")


def encoder_name(network: PreTrainedModel) -> str:
    """Return the name of the part below the head."""
    base: str = network.base_model_prefix
    return base if hasattr(network, base) else "encoder"  # Parakeet's


def find(asked: str, hub_id: str = LETTERS_ID) -> Weights:
    """Resolve the option `weights`: `auto` without a hub is `scratch`; raises `WeightsError`."""
    warning = SCRATCH_WARNING.format(hub_id=hub_id)
    return resolve_weights(asked, hub_id, pickled=True, scratch_warning=warning)


def load(weights: Weights, width: int = 96, layers: int = 2, *, phones: bool = False) -> CTCModel:
    """Load what `find` found; raises `WeightsError` where it is no CTC model or damaged.

    `width` and `layers` are those of a model from scratch. With `phones` a model that does not
    write phones, or has no head, is given a new head that is to learn them.
    """
    if weights.folder is None:
        shape, mel, tokenizer = scratch_parts(width, layers, phones=phones)
        return CTCModel(AutoModelForCTC.from_config(shape).eval(), mel, tokenizer, fresh=True)
    folder = weights.folder
    tensors = {k: v for file in weights.files for k, v in _tensors(file).items()}
    config = _config(folder)
    check_config(folder, tensors)
    if not phones and not any(key.startswith(_HEADS) for key in tensors):
        raise WeightsError(
            f"{folder}: has no CTC head; take a model fine-tuned for CTC, such as {LETTERS_ID}, or "
            "let this one learn phones by units=phones"
        )
    with quiet_transformers():
        extractor = read_extractor(folder, EXTRACTORS)
        tokenizer = _phone_tokenizer(folder) if phones else read_tokenizer(folder)
    fresh = tokenizer is None
    if tokenizer is None:
        tokenizer = phone_tokenizer()
        config.vocab_size, config.pad_token_id = len(tokenizer.get_vocab()), tokenizer.pad_token_id
    if not 0 <= tokenizer.pad_token_id < config.vocab_size:
        raise WeightsError(f"{folder}: the tokenizer's blank is not among the model's characters")
    _leave_out(config)
    model = build_network(_network, lambda: config, tensors, str(folder / "config.json"))
    _fill(model, tensors, str(folder), fresh=fresh)
    whole = CTCModel(model.eval(), extractor, tokenizer, fresh)
    if max(whole.units.names, default=0) >= config.vocab_size:
        raise WeightsError(f"{folder}: the vocabulary does not hold what the model writes")
    return whole


def _phone_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """Return the folder's own tokenizer where it is one of phones."""
    try:
        tokenizer = read_tokenizer(folder)
        return tokenizer if isinstance(units_of(tokenizer, str(folder)), Phones) else None
    except WeightsError:  # an encoder alone has none
        return None


def _leave_out(config: Any) -> None:
    """SpecAugment and dropped layers are for long training, and fail on the shortest clips."""
    for own in (config, getattr(config, "encoder_config", config)):
        own.apply_spec_augment, own.layerdrop = False, 0.0


def _fill(model: PreTrainedModel, tensors: dict[str, Tensor], name: str, *, fresh: bool) -> None:
    if fresh:
        tensors = _with_new_head(model, tensors)
    for old, new in _RENAMED.items():
        tensors = {k.replace(old, new) if k.endswith(old) else k: v for k, v in tensors.items()}
    for key, tensor in model.state_dict().items():
        if key.endswith(_OPTIONAL):
            tensors.setdefault(key, tensor)
    load_into(model, tensors, name)
    for key, parameter in model.named_parameters():
        if key.endswith(_OPTIONAL):
            parameter.requires_grad = False


def _with_new_head(model: PreTrainedModel, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the encoder as a CTC model names them, and the model's own head."""
    prefix = f"{encoder_name(model)}."
    if not any(key.startswith(prefix) for key in tensors):
        tensors = {prefix + key: tensor for key, tensor in tensors.items()}
    encoder = {key: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    own = model.state_dict()
    return encoder | {key: tensor for key, tensor in own.items() if key.startswith(_HEADS)}


def _network(config: Any) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCTC.from_config(config, trust_remote_code=False)
    return model


def _config(folder: Path) -> Any:
    fitting = {config.model_type for config in MODEL_FOR_CTC_MAPPING}
    model_type(folder, fitting, "a CTC model (hubert, wav2vec2, wavlm, parakeet_ctc, ...)")
    return read_auto_config(folder)


def _tensors(file: Path) -> dict[str, Tensor]:
    return load_tensors(file) if file.suffix == ".safetensors" else load_pickled(file)
