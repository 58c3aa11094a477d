"""The check of a matcher's options: bad ones are refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audiomatch.config import MatcherConfig, build_config
from audiomatch.errors import UserError
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed
from audiomatch.testing.subject import Subject

UNKNOWN = "no_such_option"
NUMBERS = ("integer", "number")


@check("options", "unknown options, values out of range and bad presets are refused by name")
def options(subject: Subject) -> str:
    """Try an unknown name, and what each option's own schema forbids; build every preset."""
    config = type(subject.make().config)
    label = str(subject.spec)
    tried = 1
    _refuses(config, UNKNOWN, 1, label)
    for name, schema in _options(config):
        for value in _forbidden(name, schema):
            _refuses(config, name, value, label)
            tried += 1
    for preset, values in {"default": {}, **subject.info.presets}.items():
        _accepts(config, values, f"{subject.info.name}:{preset}")
    return f"{tried} bad values refused"


def _refuses(config: type[MatcherConfig], name: str, value: Any, label: str) -> None:
    try:
        build_config(config, {name: value}, label)
    except UserError as error:
        if name in str(error):
            return
        raise Failed(
            f"option {name!r} refuses {value!r} without naming the option: {error}"
        ) from error
    if name == UNKNOWN:
        raise Failed(f"an option that does not exist, {name!r}, is accepted")
    raise Failed(f"option {name!r} accepts {value!r}, which its own schema forbids")


def _accepts(config: type[MatcherConfig], values: Mapping[str, Any], label: str) -> None:
    """Build the preset, and build it again from what a model folder keeps of it."""
    try:
        made = build_config(config, values, label)
        again = build_config(config, made.model_dump(mode="json"), label)
    except UserError as error:
        raise Failed(f"its own preset is refused: {error}") from error
    if again != made:
        raise Failed(f"{label}: the config is not what it was after going through JSON")


def _options(config: type[MatcherConfig]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each option and its JSON schema, references resolved; of a union the part not null."""
    whole = config.model_json_schema()
    definitions = whole.get("$defs", {})
    for name, schema in whole.get("properties", {}).items():
        parts = schema.get("anyOf", [schema])
        parts = [definitions[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in parts]
        parts = [part for part in parts if part.get("type") != "null"]
        if len(parts) == 1:
            yield name, parts[0]


def _forbidden(name: str, schema: Mapping[str, Any]) -> Iterator[Any]:
    """Give values that the schema of one option does not allow."""
    if "enum" in schema or "const" in schema:
        yield "no-such-choice"
    elif schema.get("type") in NUMBERS:
        bounds = {
            key: schema[key]
            for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
            if key in schema
        }
        if not bounds:
            raise Failed(f"option {name!r} is a number and declares no range")
        for key, bound in bounds.items():
            beyond = 1 if "aximum" in key else -1
            yield bound if key.startswith("exclusive") else bound + beyond
        yield "not-a-number"
        yield float("nan")
    elif schema.get("type") == "boolean":
        yield "neither"
