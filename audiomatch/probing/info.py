"""What a plugin says of a probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from audiomatch.errors import PluginError, blame_on

if TYPE_CHECKING:
    import numpy as np

    from audiomatch.offers import Plugin
    from audiomatch.probing.answers import Answer

    Plant = Callable[[Answer, np.random.Generator], Answer | None]

# What is to become of a match in which something was planted; `more`: the text was said, and more
# than the text, which the user may allow or not.
Expectation = Literal["stay", "fall", "more", "report"]


@dataclass(frozen=True)
class ProbeInfo:
    """A probe that a plugin offers; light, its code is imported when it is planted.

    Attributes:
        name: what users type; lower-case letters, digits and hyphens.
        summary: what is planted, in a line.
        expectation: whether the match is to `stay` confirmed or to `fall`; `more` where more than
            the text is said, which is to fall under `--expect exact` and to stay under `contains`;
            `report` for a figure without a demand.
        plant: `plant(answer, rng)`, or where it is, as `"package.module:function"`. It returns the
            answer changed (`Answer.sounding`, `Answer.saying`), or None where this one allows no
            such change. Random numbers are those of `rng`.
    """

    name: str
    summary: str
    expectation: Expectation
    plant: str | Plant


@dataclass(frozen=True)
class Probe:
    """A probe and the plugin that offers it."""

    info: ProbeInfo
    plugin: Plugin

    def __str__(self) -> str:
        origin = f" of {self.plugin}" if self.plugin.module else ""
        return f"probe {self.info.name!r}{origin}"

    def function(self) -> Plant:
        """Import the probe's code. Raises `PluginError` where it is not what it should be."""
        from audiomatch.offers import import_object

        plant = self.info.plant
        with blame_on(f"{self} cannot be loaded"):
            found = import_object(plant) if isinstance(plant, str) else plant
        if not callable(found):
            raise PluginError(f"{self}: its plant is {found!r}; must be a function")
        loaded: Plant = found
        return loaded


def wrong_with(info: ProbeInfo) -> str | None:
    """Say what is wrong with the fields of an info, as far as that shows without its code."""
    by_path = isinstance(info.plant, str) and all(info.plant.partition(":"))
    expected = {
        "summary": (isinstance(info.summary, str), "a string"),
        "expectation": (info.expectation in get_args(Expectation), _choices()),
        "plant": (by_path or callable(info.plant), "'package.module:function' or callable"),
    }
    for name, (good, wanted) in expected.items():
        if not good:
            return f"its {name}: must be {wanted} (given {getattr(info, name)!r})"
    return None


def _choices() -> str:
    return " or ".join(get_args(Expectation))
