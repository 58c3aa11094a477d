"""A model folder: what `fit` saves and `predict` loads, and its card."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import audiomatch
from audiomatch.errors import PluginError, UserError, blame_on, brief
from audiomatch.files import atomic_folder
from audiomatch.matcher import Matcher
from audiomatch.offers import Offer
from audiomatch.plugins import Registry
from audiomatch.readme import README, readme_of
from audiomatch.records import CalibrationRecord, FitRecord, ModelCard, PluginRecord, Thresholds
from audiomatch.spec import READY, MatcherSpec, parse_matcher

CARD = "audiomatch.json"


def check_target(folder: Path) -> None:
    """Raise `UserError` where saving to `folder` would destroy something that is no model."""
    if folder.exists() and not (folder / CARD).is_file() and any(folder.iterdir()):
        raise UserError(f"--out {folder}: holds files that are not a model; name another folder")


def card_of(
    spec: MatcherSpec,
    offer: Offer,
    matcher: Matcher,
    fit: FitRecord | None = None,
    thresholds: Thresholds | None = None,
    calibration: CalibrationRecord | None = None,
) -> ModelCard:
    """Return the card of a matcher as it is now."""
    return ModelCard(
        matcher=str(spec),
        config=matcher.config.model_dump(mode="json"),
        plugin=PluginRecord(distribution=offer.plugin.distribution, version=offer.plugin.version),
        audiomatch=audiomatch.__version__,
        fit=fit,
        thresholds=thresholds,
        calibration=calibration,
        needs_speech=matcher.needs_speech,
    )


def save_model(folder: Path, matcher: Matcher, card: ModelCard) -> None:
    """Write a fitted matcher with its card, whole or not at all.

    The README is for people: nothing reads it, and it may be edited, so it is not sealed.
    """
    check_target(folder)
    with atomic_folder(folder) as temporary:
        matcher.save(temporary)
        sealed = card.model_copy(update={"files": file_digests(temporary)})
        sealed.write(temporary / CARD)
        if card.fit is not None and not (temporary / README).exists():
            (temporary / README).write_text(readme_of(card, card.fit), encoding="utf-8")


def load_model(folder: Path, registry: Registry) -> tuple[Matcher, ModelCard]:
    """Return the matcher that `folder` holds and its card.

    Raises `UserError`, also where a file is not as it was saved.
    """
    if not os.path.exists(folder):  # noqa: PTH110 (False for a name that is too long)
        if len(folder.parts) > 1 or not folder.name.endswith(READY):
            raise UserError(f"no such model folder: {folder}")
        folder = ready_folder(folder.name.removesuffix(READY), registry)
    card = read_card(folder)
    spec = parse_matcher(card.matcher)
    offers = registry.matchers()
    if spec.name not in offers:
        raise UserError(
            f"{folder} needs the matcher {brief(spec.name)} of {card.plugin.distribution} "
            f"{card.plugin.version}, its card says; "
            "install that if you trust it"
        )
    if card.files is not None:
        check_files(folder, card.files)
    matcher = offers[spec.name].create({}, card.config, card.matcher)
    with blame_on(f"{folder}: the model cannot be read"):
        matcher.load(folder)
    matcher.needs_speech = card.needs_speech
    return matcher, card


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder; raises `UserError` where it is none."""
    if not (folder / CARD).is_file():
        raise UserError(
            f"{folder}: not a model folder ({CARD} is missing); make one with "
            "`audiomatch fit MATCHER --out FOLDER`"
        )
    return ModelCard.read(folder / CARD)


def ready_folder(name: str, registry: Registry) -> Path:
    """Return the model folder that the plugin of the matcher `name` carries.

    Raises `UserError` where it carries none, `PluginError` where the folder is not as it was
    published.
    """
    offer = registry.offer(MatcherSpec(name))
    if offer.info.ready is None:
        there = ", ".join(ready_names(registry)) or "none"
        raise UserError(f"{name}{READY}: its plugin carries no fitted model; there is: {there}")
    package, _, inside = offer.info.ready.folder.partition(":")
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations or []) if spec else []
    folder = next((Path(p) / inside for p in places if (Path(p) / inside).is_dir()), None)
    if folder is None or digest_of_folder(folder) != offer.info.ready.digest:
        raise PluginError(
            f"{name}{READY}: the files are not those of {offer.plugin}; install it again"
        )
    return folder


def ready_names(registry: Registry) -> list[str]:
    """Return the names of the fitted models that plugins carry, the least log loss first."""
    losses = {
        name + READY: offer.info.ready.log_loss
        for name, offer in registry.matchers().items()
        if offer.info.ready
    }
    return sorted(losses, key=losses.__getitem__)


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise `UserError` where `folder` does not hold `files` (path: SHA-256), as they were saved.

    A further file is refused too, for a matcher might read it; what is hidden or ends in .md is
    not read.
    """
    there = file_digests(folder)
    for name in sorted({*files, *there} - {CARD}):
        if name not in there:
            problem = "is missing"
        elif name in files and there[name] != files[name]:
            problem = "has changed since the model was saved"
        elif name not in files and not _aside(PurePosixPath(name)):
            raise UserError(f"{folder / name}: is no file of the model; take it out of its folder")
        else:
            continue
        raise UserError(f"{folder / name}: {problem}; copy the model again, or fit it again")


def _aside(file: PurePosixPath) -> bool:
    return file.suffix == ".md" or any(part.startswith(".") for part in file.parts)


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in `folder`, by its path in it, in order."""
    digests = {}
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            digests[file.relative_to(folder).as_posix()] = digest
    return dict(sorted(digests.items()))


def digest_of_folder(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of the files in `folder`."""
    whole = hashlib.sha256()
    for name, digest in file_digests(folder).items():
        whole.update(f"{name}\0{digest}\0".encode())
    return whole.hexdigest()
