"""Does this recording say this text, and which model tells it best?"""

from __future__ import annotations

from audiomatch.errors import ClipError, NotFittedError, UserError, WeightsError
from audiomatch.hookspecs import hookimpl
from audiomatch.matcher import Matcher, MatcherInfo, Run

__version__ = "0.2.0"
__all__ = [
    "ClipError",
    "Matcher",
    "MatcherInfo",
    "NotFittedError",
    "Run",
    "UserError",
    "WeightsError",
    "__version__",
    "hookimpl",
]
