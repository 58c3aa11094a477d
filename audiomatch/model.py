"""A model folder: what `fit` saves and `predict` loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import audiomatch
from audiomatch.errors import UserError
from audiomatch.files import atomic_folder, write_json
from audiomatch.matcher import Matcher
from audiomatch.offers import Offer
from audiomatch.plugins import Registry
from audiomatch.spec import MatcherSpec, parse_matcher

CARD = "audiomatch.json"


def check_target(folder: Path) -> None:
    """Raise `UserError` where saving to `folder` would destroy something that is no model."""
    if folder.exists() and not (folder / CARD).is_file() and any(folder.iterdir()):
        raise UserError(f"--out {folder}: holds files that are not a model; name another folder")


def save_model(
    folder: Path, spec: MatcherSpec, offer: Offer, matcher: Matcher, facts: dict[str, Any]
) -> None:
    """Write a fitted matcher with its card, whole or not at all."""
    check_target(folder)
    with atomic_folder(folder) as temporary:
        matcher.save(temporary)
        write_json(
            temporary / CARD,
            {
                "matcher": str(spec),
                "config": matcher.config.model_dump(mode="json"),
                "plugin": {
                    "distribution": offer.plugin.distribution,
                    "version": offer.plugin.version,
                },
                "audiomatch": audiomatch.__version__,
                "fit": facts,
            },
        )


def load_model(folder: Path, registry: Registry) -> tuple[Matcher, dict[str, Any]]:
    """Return the matcher that `folder` holds and its card. Raises `UserError`."""
    if not folder.exists():
        raise UserError(f"no such model folder: {folder}")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        spec = parse_matcher(card["matcher"])
        plugin, config = card["plugin"], dict(card["config"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{folder}: not a model folder ({CARD} is missing or damaged); make one with "
            "`audiomatch fit MATCHER --out FOLDER`"
        ) from None
    if spec.name not in registry.matchers():
        raise UserError(
            f"{folder} needs the matcher {spec.name!r}: pip install "
            f"{plugin['distribution']}=={plugin['version']}"
        )
    matcher = registry.matchers()[spec.name].create({}, config, card["matcher"])
    matcher.load(folder)
    return matcher, card
