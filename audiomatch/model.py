"""A model folder: what `fit` saves and `predict` loads, and its card."""

from __future__ import annotations

from pathlib import Path

import audiomatch
from audiomatch.errors import UserError, blame_on
from audiomatch.files import atomic_folder
from audiomatch.matcher import Matcher
from audiomatch.offers import Offer
from audiomatch.plugins import Registry
from audiomatch.records import FitRecord, ModelCard, PluginRecord
from audiomatch.spec import MatcherSpec, parse_matcher

CARD = "audiomatch.json"


def check_target(folder: Path) -> None:
    """Raise `UserError` where saving to `folder` would destroy something that is no model."""
    if folder.exists() and not (folder / CARD).is_file() and any(folder.iterdir()):
        raise UserError(f"--out {folder}: holds files that are not a model; name another folder")


def card_of(
    spec: MatcherSpec, offer: Offer, matcher: Matcher, fit: FitRecord | None = None
) -> ModelCard:
    """Return the card of a matcher as it is now."""
    return ModelCard(
        matcher=str(spec),
        config=matcher.config.model_dump(mode="json"),
        plugin=PluginRecord(distribution=offer.plugin.distribution, version=offer.plugin.version),
        audiomatch=audiomatch.__version__,
        fit=fit,
    )


def save_model(folder: Path, matcher: Matcher, card: ModelCard) -> None:
    """Write a fitted matcher with its card, whole or not at all."""
    check_target(folder)
    with atomic_folder(folder) as temporary:
        matcher.save(temporary)
        card.write(temporary / CARD)


def load_model(folder: Path, registry: Registry) -> tuple[Matcher, ModelCard]:
    """Return the matcher that `folder` holds and its card. Raises `UserError`."""
    if not folder.exists():
        raise UserError(f"no such model folder: {folder}")
    if not (folder / CARD).is_file():
        raise UserError(
            f"{folder}: not a model folder ({CARD} is missing); make one with "
            "`audiomatch fit MATCHER --out FOLDER`"
        )
    card = ModelCard.read(folder / CARD)
    spec = parse_matcher(card.matcher)
    offers = registry.matchers()
    if spec.name not in offers:
        raise UserError(
            f"{folder} needs the matcher {spec.name!r}: pip install "
            f"{card.plugin.distribution}=={card.plugin.version}"
        )
    matcher = offers[spec.name].create({}, card.config, card.matcher)
    with blame_on(f"{folder}: the model cannot be read"):
        matcher.load(folder)
    return matcher, card
