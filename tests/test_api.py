"""The Python face: `audiomatch.compare`, `fit`, `load` and what they return."""

from __future__ import annotations

import subprocess
import sys

import pytest

import audiomatch

HEAVY = {"torch", "numpy", "pandas", "sklearn", "scipy", "pluggy", "pydantic", "soundfile", "rich"}


def test_the_import_brings_nothing_heavy() -> None:
    code = f"import sys, audiomatch; print(sorted({HEAVY!r} & sys.modules.keys()), dir(audiomatch))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("[] ")
    assert all(repr(name) in ran.stdout for name in audiomatch.__all__)


def test_every_name_is_there_and_no_other() -> None:
    for name in audiomatch.__all__:
        assert getattr(audiomatch, name) is not None
    assert set(audiomatch.__all__) <= set(dir(audiomatch))
    with pytest.raises(AttributeError, match="no attribute 'Matchers'"):
        audiomatch.Matchers  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="Matchers"):
        exec("from audiomatch import Matchers")
