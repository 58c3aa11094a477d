"""The options that torch matchers have in common, described once."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from audiomatch.config import MatcherConfig
from audiomatch_torch.training import TrainOptions

_RATE: dict[str, Any] = {"gt": 0, "le": 1}
_SHARE: dict[str, Any] = {"ge": 0, "le": 1}
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "epochs": ("Passes over the training clips", {"ge": 0, "le": 10_000}),
    "batch_size": ("Clips an optimiser step", {"ge": 1, "le": 65_536}),
    "lr": ("Peak learning rate", _RATE),
    "head_lr": ("Peak learning rate of what starts anew, as a head does", _RATE),
    "warmup": ("Share of the steps over which the learning rate rises", _SHARE),
    "weight_decay": ("AdamW's decoupled weight decay", {"ge": 0, "le": 10}),
    "clip_norm": ("The largest norm of a step's gradients", {"gt": 0, "le": 1e6}),
    "average_last": ("Share of the steps, from the end, whose weights are averaged", _SHARE),
    "calibration": (
        "Share of the training part, in groups of its own, that is not trained on and calibrates "
        "the probabilities",
        {"ge": 0, "le": 0.5},
    ),
    "dropout": ("Share of the head's inputs that each step leaves out", {"ge": 0, "lt": 1}),
    "seconds_at_once": ("Most seconds of padded audio in one forward pass", {"gt": 0, "le": 1e6}),
}


def option(name: str, default: Any, note: str = "", **limits: Any) -> Any:
    """Return the common option `name` as a pydantic field with this default.

    Args:
        name: which of them; those that `TorchConfig` lacks are `clip_norm`, `average_last`,
            `calibration` and `dropout`.
        default: its default.
        note: added to what is said of it, as in "where not given 2".
        limits: narrower ones than it has, as pydantic's `Field` takes them.
    """
    text, own = _OPTIONS[name]
    description = f"{text}; {note}." if note else f"{text}."
    return Field(default, description=description, **{**own, **limits})


def weights_option(auto: str, also: str = "", *, scratch: bool = True) -> Any:
    """Return an option that names weights, `auto` by default, as a pydantic field.

    Args:
        auto: what auto means, as in "owner/name where the hub or its cache has it".
        also: what else than a folder or a hub id is taken, as in "a FILE.pt, ".
        scratch: whether there is a model to train from scratch.
    """
    return Field(
        "auto",
        min_length=1,
        description=f"A Hugging Face folder, a hub id (owner/name, owner/name#revision), {also}"
        f"{'scratch, ' if scratch else ''}or auto: {auto}.",
    )


class TorchConfig(MatcherConfig):
    """What every torch matcher can be told of its training; subclass it and add options.

    A field is given another default by `option`: `epochs: int = option("epochs", 2)`.
    """

    epochs: int | None = option("epochs", None)
    batch_size: int | None = option("batch_size", 16)
    lr: float | None = option("lr", None)
    head_lr: float = option("head_lr", 1e-3)
    warmup: float | None = option("warmup", 0.1)
    weight_decay: float = option("weight_decay", 0.01)
    seconds_at_once: float | None = option(
        "seconds_at_once", None, "where not given 60 on a CPU, else as memory allows"
    )

    def train_options(
        self,
        *,
        epochs: int = 1,
        batch_size: int = 16,
        lr: float = 1e-3,
        warmup: float = 0.1,
        capacity: float | None = None,
    ) -> TrainOptions:
        """Return how `train` should train; the arguments are for what is not given here."""
        return TrainOptions(
            epochs=epochs if self.epochs is None else self.epochs,
            batch_size=batch_size if self.batch_size is None else self.batch_size,
            lr=lr if self.lr is None else self.lr,
            head_lr=self.head_lr,
            warmup=warmup if self.warmup is None else self.warmup,
            weight_decay=self.weight_decay,
            capacity=capacity,
        )
