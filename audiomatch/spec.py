"""How a matcher is named: `NAME[:PRESET][@key=value]…`, with commas between matchers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from audiomatch.errors import UserError, brief

DEFAULT_PRESET = "default"
READY = ":ready"  # after a matcher's name: the fitted model that its plugin carries
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class MatcherSpec:
    """A matcher as the user named it; `str` gives the canonical form."""

    name: str
    preset: str = DEFAULT_PRESET
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        preset = "" if self.preset == DEFAULT_PRESET else f":{self.preset}"
        return self.name + preset + "".join(f"@{key}={value}" for key, value in self.options)

    def with_option(self, key: str, value: str) -> MatcherSpec:
        """Return it with an option set; raises `UserError` for a value it cannot be written with.

        What is written down of a matcher is its canonical form, which must name it again.
        """
        spec = replace(self, options=tuple(sorted({**dict(self.options), key: value}.items())))
        try:
            carried = parse_matchers(str(spec)) == [spec]
        except UserError:
            carried = False
        if not carried:
            raise UserError(
                f"{key}={value!r}: an option's value may not be empty, begin or end with a space, "
                "nor hold '@', ',' or brackets that do not pair; rename the file, or link to it"
            )
        return spec


def parse_matcher(text: str) -> MatcherSpec:
    """Parse one matcher, as in `whisper:baseline@epochs=1@lr=3e-5`. Raises `UserError`.

    A value in round brackets may hold `@` and `,` itself: `ensemble@members=(a@x=1,b)`.
    """
    head, *pairs = _split(text.strip(), "@")
    name, colon, preset = head.partition(":")
    if not NAME.fullmatch(name):
        raise UserError(
            f"matcher {brief(text)}: write NAME[:PRESET][@key=value]…, as in whisper:baseline"
        )
    if colon and not preset:
        raise UserError(f"matcher {brief(text)}: a preset's name is missing after the colon")
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key or not value:
            raise UserError(
                f"matcher {brief(text)}: {brief('@' + pair)} is not of the form @key=value"
            )
        if key in options:
            raise UserError(f"matcher {brief(text)}: option {brief(key)} is given twice")
        options[key] = value.strip()
    return MatcherSpec(name, preset or DEFAULT_PRESET, tuple(sorted(options.items())))


def parse_matchers(text: str, repeats: bool = False) -> list[MatcherSpec]:
    """Parse matchers between commas; one named twice is a `UserError`, unless `repeats`."""
    specs = [parse_matcher(part) for part in _split(text, ",") if part.strip()]
    if not specs:
        raise UserError("no matcher named; see `audiomatch matchers`")
    for position, spec in enumerate(specs):
        if not repeats and spec in specs[:position]:
            raise UserError(f"matcher {str(spec)!r} is named twice")
    return specs


def _split(text: str, separator: str) -> list[str]:
    """Split outside round brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == separator and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth:
        raise UserError(f"matcher {brief(text)}: round brackets do not pair")
    return [*parts, text[start:]]
