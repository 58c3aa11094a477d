"""Files of the Hugging Face hub: from its cache, else fetched where one short request succeeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from audiomatch.errors import WeightsError

HUB_SECONDS = 5.0


def cached_snapshot(hub_id: str, patterns: Sequence[str]) -> Path | None:
    """Return the folder of the hub's cache that holds files of these patterns, None if none does.

    It may lack some of them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns), local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):  # not there, or no hub id at all
        return None


def hub_folder(hub_id: str, file: str) -> Path:
    """Return the folder of the hub's cache that holds `file`, fetched if need be.

    Raises `WeightsError`.
    """
    folder = cached_snapshot(hub_id, [file])
    if folder is None or not (folder / file).is_file():
        folder = fetched_snapshot(hub_id, [file])
    return folder


def fetched_snapshot(hub_id: str, patterns: Sequence[str]) -> Path:
    """Fetch the files of these patterns into the hub's cache; raises `WeightsError`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    problem = unreachable(hub_id)
    if problem:
        raise WeightsError(f"weights {hub_id!r}: {problem}")
    try:
        return Path(
            snapshot_download(hub_id, allow_patterns=list(patterns), etag_timeout=HUB_SECONDS)
        )
    except HfHubHTTPError as error:
        raise WeightsError(f"weights {hub_id!r}: {_refusal(error)}") from None


@cache
def unreachable(hub_id: str) -> str | None:
    """Say why the hub cannot give `hub_id`, if it cannot, after one request without retries."""
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
        return _refusal(error)
    except Exception as error:  # noqa: BLE001 - the HTTP library behind the hub changes
        return f"not in the hub's cache, and the hub is not reachable ({type(error).__name__})"
    return None


def _refusal(error: Exception) -> str:
    return f"the hub refuses ({str(error).splitlines()[0]})"
