"""A tokenizer from the Hugging Face hub or its cache."""

from __future__ import annotations

from pathlib import Path

from audiomatch.errors import WeightsError

HUB_SECONDS = 5.0
FILE = "tokenizer.json"


def tokenizer_folder(hub_id: str) -> Path:
    """Return the folder of the cache that holds tokenizer.json; raises `WeightsError`."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(hub_id, FILE, local_files_only=True)).parent
    except (LocalEntryNotFoundError, ValueError):
        pass
    try:
        # Downloads are tried again and again; whether there is a hub shows in one request.
        HfApi().model_info(hub_id, timeout=HUB_SECONDS)
        return Path(hf_hub_download(hub_id, FILE, etag_timeout=HUB_SECONDS)).parent
    except Exception as error:  # the HTTP library behind the hub, and so its errors, changes
        raise WeightsError(
            f"tokenizer {hub_id!r}: not a folder, not in the hub's cache, and the hub does not "
            f"give it ({type(error).__name__})"
        ) from None
