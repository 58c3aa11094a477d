"""Does this recording say this text, and which model tells it best?

The names below are imported when they are first asked for: `import audiomatch` itself is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiomatch.api import Comparison, Evaluation, Model, compare, evaluate, fit, load
    from audiomatch.auditing.auditor import audit
    from audiomatch.clips import Clips
    from audiomatch.errors import ClipError, NotFittedError, UserError, WeightsError
    from audiomatch.hookspecs import hookimpl
    from audiomatch.matcher import Matcher, MatcherInfo, ReadyModel, Run
    from audiomatch.probing.prober import probe
    from audiomatch.scored import ClipScore, CorpusScore, score

__version__ = "0.2.0"
__all__ = [
    "ClipError",
    "ClipScore",
    "Clips",
    "Comparison",
    "CorpusScore",
    "Evaluation",
    "Matcher",
    "MatcherInfo",
    "Model",
    "NotFittedError",
    "ReadyModel",
    "Run",
    "UserError",
    "WeightsError",
    "__version__",
    "audit",
    "compare",
    "evaluate",
    "fit",
    "hookimpl",
    "load",
    "probe",
    "score",
]
_NAMES_OF = {
    "api": ("Comparison", "Evaluation", "Model", "compare", "evaluate", "fit", "load"),
    "auditing.auditor": ("audit",),
    "clips": ("Clips",),
    "errors": ("ClipError", "NotFittedError", "UserError", "WeightsError"),
    "hookspecs": ("hookimpl",),
    "matcher": ("Matcher", "MatcherInfo", "ReadyModel", "Run"),
    "probing.prober": ("probe",),
    "scored": ("ClipScore", "CorpusScore", "score"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}

if not TYPE_CHECKING:  # so that a type checker knows the names above and no others

    def __getattr__(name: str) -> object:
        """Import what is asked for."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Name what there is, imported or not."""
    return sorted({*globals(), *__all__})
