"""Loads the towers: from a hub, a folder or a checkpoint of laion-clap, or made from scratch."""

from __future__ import annotations

from pathlib import Path

from audiomatch_torch import Weights, hub_folder, load_tensors, resolve_weights

from audiomatch.errors import WeightsError
from audiomatch_clap import laion
from audiomatch_clap.checkpoint import read_pt
from audiomatch_clap.config import ClapConfig
from audiomatch_clap.text import TOKENIZER_FILES, TextEncoder, tokenizer_files
from audiomatch_clap.towers import ClapTowers, from_laion, from_scratch, read_folder

HUB_ID = "laion/clap-htsat-unfused"
ROBERTA = "roberta-base"
SUFFIXES = (".pt", ".pth", ".ckpt")
MODEL = "model.safetensors"
SCRATCH_WARNING = (
    f"trained a small CLAP from scratch: {HUB_ID} is neither in the hub's cache nor reachable; "
    "for the pretrained one give access to the hub, or weights=FOLDER or FILE.pt"
)


def find(config: ClapConfig) -> Weights:
    """Resolve the options `weights` and `backend`; raises `WeightsError`.

    With `auto` and no hub the result is `scratch`: no installable package carries a CLAP.
    """
    asked = config.weights
    if asked.endswith(SUFFIXES):
        file = Path(asked).expanduser()
        if not file.is_file():
            raise WeightsError(f"weights {asked!r}: no such file")
        if config.backend == "laion":
            laion.check_installed()
        tokenizer = _tokenizer(config.tokenizer, file)
        return Weights(asked, tokenizer, (file,), tokenizer_files(tokenizer))
    if config.backend == "laion":
        raise WeightsError(
            f"backend=laion: takes a checkpoint of laion-clap, weights=FILE.pt (given {asked!r}), "
            "as 630k-audioset-best.pt of the hub's lukewys/laion_clap"
        )
    return resolve_weights(asked, HUB_ID, scratch_warning=SCRATCH_WARNING)


def load(weights: Weights, config: ClapConfig) -> ClapTowers:
    """Load what `find` found; raises `WeightsError` where it is no CLAP or damaged."""
    if weights.folder is None:
        return from_scratch().eval()
    file = weights.files[0]
    if file.suffix not in SUFFIXES:
        return read_folder(weights.folder, weights.files).eval()
    tensors = read_pt(file)
    text = TextEncoder.read(weights.folder)
    if config.backend == "laion":
        return laion.LaionTowers(tensors, text, str(file)).eval()
    return from_laion(tensors, text, str(file)).eval()


def restore(folder: Path) -> ClapTowers:
    """Load what `ClapTowers.save` wrote."""
    file = folder / laion.FILE
    if file.is_file():
        text = TextEncoder.read(folder)
        return laion.LaionTowers(load_tensors(file), text, str(file)).eval()
    return read_folder(folder, (folder / MODEL,)).eval()


def _tokenizer(asked: str, file: Path) -> Path:
    """Return the folder that holds the tokenizer of a FILE.pt; raises `WeightsError`."""
    if asked != "auto":
        folder = Path(asked).expanduser()
        return folder if folder.is_dir() else hub_folder(asked, TOKENIZER_FILES[0])
    if tokenizer_files(file.parent):
        return file.parent
    try:
        return hub_folder(ROBERTA, TOKENIZER_FILES[0])
    except WeightsError as error:
        raise WeightsError(
            f"{error}; put {ROBERTA}'s tokenizer.json beside {file.name}, or give tokenizer=FOLDER"
        ) from None
