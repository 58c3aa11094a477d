"""What there is to know of a matcher: its presets, and its options with their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiomatch.config import MatcherConfig

SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class OptionFacts:
    """One option of a matcher.

    Attributes:
        option: its name.
        type: as in `integer`, or the values that it may have, in backquotes.
        default: as Python writes it; empty where the user must give it.
        range: the bounds of a number, as in `≥ 0, ≤ 1`.
        meaning: what it does.
    """

    option: str
    type: str
    default: str
    range: str
    meaning: str


def describe_options(config: type[MatcherConfig]) -> list[OptionFacts]:
    """Return every option of a matcher's config, in order."""
    schema = config.model_json_schema()
    found = []
    for name, field in config.model_fields.items():
        kind, bounds = _kind(schema, schema["properties"][field.alias or name])
        if field.is_required():
            default = ""
        else:
            default = "computed" if field.default_factory else repr(field.default)
        found.append(OptionFacts(name, kind, default, bounds, field.description or ""))
    return found


def describe_preset(options: Mapping[str, Any]) -> list[str]:
    """Return the options of a preset as they are typed, as in `epochs=1`."""
    return [f"{key}={value}" for key, value in options.items()]


def _kind(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return the type and the range that a JSON schema declares."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        parts = [_kind(whole, part) for part in schema["anyOf"]]
        return " or ".join(kind for kind, _ in parts), ", ".join(b for _, b in parts if b)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        return ", ".join(f"`{value}`" for value in values), ""
    bounds = [f"{sign} {schema[key]:g}" for key, sign in SIGNS.items() if key in schema]
    return str(schema.get("type", "any")), ", ".join(bounds)
