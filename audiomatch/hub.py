"""Repositories of the Hugging Face hub, as `hf:owner/name[@revision]`, by the hub's own library."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from audiomatch.errors import DataWarning, UserError, brief
from audiomatch.files import REFUSALS
from audiomatch.hookspecs import DISTRIBUTION
from audiomatch.model import CARD, check_files, read_card
from audiomatch.private import hider
from audiomatch.readme import README
from audiomatch.records import ModelCard

SCHEME = "hf:"
SECONDS = 10.0  # for an answer of the hub
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_REVISION = re.compile(r"[\w./-]+")  # a branch, tag or commit


@dataclass(frozen=True)
class Repository:
    """A repository of the hub; at its main branch where there is no `revision`."""

    id: str
    revision: str | None = None
    kind: Literal["model", "dataset"] = "model"

    def __str__(self) -> str:
        return f"{SCHEME}{self.id}" + (f"@{self.revision}" if self.revision else "")

    @classmethod
    def parse(cls, name: str, kind: Literal["model", "dataset"] = "model") -> Repository:
        """Read `owner/name[@revision]`, also as in fsspec's hf:// address. Raises `UserError`."""
        address = r"//?datasets/" if kind == "dataset" else r"//?"  # a path has one slash left
        identity, at, revision = re.sub(f"^{address}", "", name).partition("@")
        if not _ID.fullmatch(identity) or (at and not _REVISION.fullmatch(revision)):
            raise UserError(
                f"{brief(SCHEME + name)[1:-1]}: must be hf:owner/name, or hf:owner/name@revision"
            )
        return cls(identity, revision or None, kind)

    def snapshot(self, patterns: Sequence[str]) -> Path:
        """Return the folder of the hub's cache with files of these patterns, fetched if need be.

        The folder's name is the commit. A hub that does not answer leaves what the cache holds.
        Raises `UserError`.
        """
        with self._problems():
            from huggingface_hub import snapshot_download

            return Path(
                snapshot_download(
                    self.id,
                    repo_type=self.kind,
                    revision=self.revision,
                    allow_patterns=list(patterns),
                    etag_timeout=SECONDS,
                )
            )

    def file(self, name: str) -> Path:
        """Return a file, in the folder that `snapshot` gives. Raises `UserError`."""
        with self._problems():
            from huggingface_hub import hf_hub_download

            return Path(
                hf_hub_download(
                    self.id,
                    name,
                    repo_type=self.kind,
                    revision=self.revision,
                    etag_timeout=SECONDS,
                )
            )

    def push(self, folder: Path, *, private: bool = False) -> Repository:
        """Make the revision, a branch, hold the files of `folder` alone; returns it at its commit.

        What is not there is made. Raises `UserError`, also for a repository that holds something
        other than a model of ours, and one that is public where `private` is asked.
        """
        with self._problems():
            from huggingface_hub import HfApi

            api = HfApi()
            api.create_repo(self.id, private=private or None, exist_ok=True)
            if private and not api.model_info(self.id, timeout=SECONDS).private:
                raise UserError(
                    f"{self}: is public already; change that on its page, or leave out --private"
                )
            if self.revision:
                api.create_branch(self.id, branch=self.revision, exist_ok=True)
            there = set(api.list_repo_files(self.id, revision=self.revision))
            if CARD not in there and there - {README, ".gitattributes"}:
                raise UserError(f"{self}: holds files that are not a model; name another")
            done = api.upload_folder(
                repo_id=self.id,
                folder_path=folder,
                revision=self.revision,
                ignore_patterns=[".*", "*/.*"],
                delete_patterns="*",
                commit_message="Add a model of audiomatch",
            )
        return replace(self, revision=done.oid)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Turn what the hub's library raises into a `UserError` of one line."""
        try:
            from huggingface_hub import errors
        except ImportError:
            raise UserError(f"{self}: needs pip install '{DISTRIBUTION}[hub]'") from None
        try:
            yield
        except (errors.HTTPError, OSError, ValueError) as error:
            raise UserError(f"{self}: {hub_problem(error, self)}") from None


def hub_problem(error: Exception, asked: Repository) -> str:
    """Return what an error of the hub's library means, in one line."""
    from huggingface_hub import errors

    known = {
        errors.GatedRepoError: "the hub asks for its terms to be accepted and a token (hf auth "
        "login)",
        errors.RepositoryNotFoundError: f"the hub has no such {asked.kind}, or shows it to its "
        "members alone (hf auth login)",
        errors.RevisionNotFoundError: f"has no revision {asked.revision!r}",
        errors.LocalEntryNotFoundError: "not in the hub's cache, and the hub is not reachable "
        "or not asked (--offline)",
        errors.EntryNotFoundError: f"is no model of audiomatch ({CARD} is missing)",
        errors.OfflineModeIsEnabled: "the hub is not asked, for HF_HUB_OFFLINE is set",
    }
    for kind, said in known.items():
        if isinstance(error, kind):
            return said
    if isinstance(error, errors.HfHubHTTPError):
        refused = error.response is not None and error.response.status_code in (401, 403)
        hint = "; it asks for a token that may do this (hf auth login)" if refused else ""
        return f"the hub refuses ({_line(error)}){hint}"
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return f"cannot be kept in the hub's cache: {error.strerror}"
    if isinstance(error, errors.HTTPError | OSError):
        return f"the hub is not reachable ({_line(error)})"
    return _line(error)  # a name, or a header of README.md, that the hub does not take


def is_hub_name(place: Path) -> bool:
    """Return whether a path is the name of a repository, and no path of this machine."""
    return str(place).startswith(SCHEME) and not os.path.exists(place)  # noqa: PTH110 (too long)


def fetch_model(name: str) -> tuple[Path, str]:
    """Return the folder of the model `hf:owner/name[@revision]`, and its name with the commit.

    Of the repository only `audiomatch.json` and the files that it lists are fetched. Raises
    `UserError`.
    """
    asked = Repository.parse(name.removeprefix(SCHEME))
    card = asked.file(CARD)
    found, files = replace(asked, revision=card.parent.name), ModelCard.read(card).files
    listed = ["*"] if files is None else [CARD, *map(glob.escape, files)]
    return found.snapshot(listed), str(found)


def push_model(
    folder: Path, name: str, *, private: bool = False, revision: str | None = None
) -> Repository:
    """Publish a model folder as the repository `owner/name`; returns it at the new commit.

    Args:
        folder: what `fit` saved; it is checked as `load` checks it.
        name: the repository, made where it is not there.
        private: make it one that is shown to its members alone.
        revision: the branch, made where it is not there; else the main one.

    Raises:
        UserError: it is no whole model folder, or the hub does not take it.
    """
    card = read_card(folder)
    if card.files is not None:
        check_files(folder, card.files)
    if not _ID.fullmatch(name):
        raise UserError(f"{brief(name)}: must be owner/name")
    if revision is not None and not _REVISION.fullmatch(revision):
        raise UserError(f"--revision {brief(revision)}: must be the name of a branch")
    text = (folder / CARD).read_text(encoding="utf-8")
    if hider([])(text) != text:
        warnings.warn(
            f"{folder / CARD}: names folders of this machine, and is published with them",
            DataWarning,
            stacklevel=2,
        )
    return Repository(name, revision).push(folder, private=private)


def _line(error: BaseException) -> str:
    lines = str(error).split("\n")
    return " ".join(filter(None, map(str.strip, lines)))[:300] or type(error).__name__
