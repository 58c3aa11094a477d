"""Typed hyper-parameters: every matcher declares its options once, with their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from audiomatch.errors import UnknownNameError, UserError, brief, nearest


class OptionError(UserError):
    """An option that does not exist or has a bad value.

    Attributes:
        option: its name; empty where the options together are at fault.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class UnknownOptionError(OptionError, UnknownNameError):
    """An option that does not exist."""


class MatcherConfig(BaseModel):
    """The options of a matcher; subclass it and declare fields with pydantic's `Field`.

    Text from the command line is converted to the field's type; an unknown name, a value out of
    range, or NaN is refused by name. Give each field a `description`: the reference is made of it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


def build_config(
    config_type: type[MatcherConfig], options: Mapping[str, Any], matcher: str
) -> MatcherConfig:
    """Make a config of `options`, or raise an `OptionError` that names the option at fault."""
    try:
        return config_type(**options)
    except ValidationError as error:
        raise _first_problem(error, config_type, matcher) from None


def _first_problem(
    error: ValidationError, config_type: type[MatcherConfig], matcher: str
) -> OptionError:
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    fields = sorted(config_type.model_fields)
    if problem["type"] == "extra_forbidden":
        close = nearest(name, fields)
        hint = f"did you mean {close!r}? " if close else ""
        listed = ", ".join(fields) or "none"
        return UnknownOptionError(
            f"{matcher}: no option {brief(name)}; {hint}options: {listed}", name
        )
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    where = f"option {name!r}: " if name else ""
    given = f" (given {brief(problem['input'])})" if name else ""
    return OptionError(f"{matcher}: {where}{message}{given}", name)
