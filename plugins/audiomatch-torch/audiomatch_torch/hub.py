"""Files of the Hugging Face hub: from its cache, else fetched where one short request succeeds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from audiomatch.errors import WeightsError

# For the hub's first answer, name resolution included, unless HF_HUB_ETAG_TIMEOUT says more.
HUB_SECONDS = float(os.environ.get("HF_HUB_ETAG_TIMEOUT", "2"))
NO_ANSWER = "not in the hub's cache, and the hub is not reachable"
_silent: dict[str, str] = {}  # why a hub gave no answer; it is not waited for again


def cached_snapshot(
    hub_id: str, patterns: Sequence[str], revision: str | None = None
) -> Path | None:
    """Return the folder of the hub's cache that holds files of these patterns, None if none does.

    It may lack some of them. Its name is the commit of the revision, else of the main branch.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                hub_id, revision=revision, allow_patterns=list(patterns), local_files_only=True
            )
        )
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


def fetched_snapshot(hub_id: str, patterns: Sequence[str], revision: str | None = None) -> Path:
    """Fetch the files of these patterns into the hub's cache; raises `WeightsError`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    problem = unreachable(hub_id)
    if problem:
        raise WeightsError(f"weights {hub_id!r}: {problem}")
    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=list(patterns),
                etag_timeout=HUB_SECONDS,
            )
        )
    except HfHubHTTPError as error:
        raise WeightsError(f"weights {hub_id!r}: {_said(error, hub_id, revision)}") from None


@cache
def unreachable(hub_id: str) -> str | None:
    """Say why the hub cannot give `hub_id`, if it cannot, after one request without retries.

    A hub that gives no answer within `HUB_SECONDS` is not asked again by this process.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE") == "1":
        return "not in the hub's cache, and --offline or HF_HUB_OFFLINE is set"
    if constants.ENDPOINT in _silent:
        return _silent[constants.ENDPOINT]
    answers = _within(HUB_SECONDS, lambda: _problem(hub_id))
    problem = answers[0] if answers else f"{NO_ANSWER} (no answer within {HUB_SECONDS:g} s)"
    if problem and problem.startswith(NO_ANSWER):
        _silent[constants.ENDPOINT] = problem
    return problem


def _within(seconds: float, ask: Callable[[], str | None]) -> list[str | None]:
    """Return the answer alone, or nothing where there is none in time.

    The thread that asks is left behind: name resolution knows no timeout.
    """
    answers: list[str | None] = []
    asking = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    asking.start()
    asking.join(seconds)
    return answers


def _problem(hub_id: str) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().model_info(hub_id, timeout=HUB_SECONDS)
    except HfHubHTTPError as error:
        return _said(error, hub_id)
    except Exception as error:  # noqa: BLE001 - the HTTP library behind the hub changes
        return f"{NO_ANSWER} ({type(error).__name__})"
    return None


def _said(error: Exception, hub_id: str, revision: str | None = None) -> str:
    from audiomatch.hub import Repository, hub_problem

    return hub_problem(error, Repository(hub_id, revision))
