"""Needs the plugin installed; skipped where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("audiomatch_speaking_rate")

from audiomatch_speaking_rate.model import SpeakingRate, SpeakingRateConfig

from audiomatch import Run
from audiomatch.datasets.manifest import open_manifest
from audiomatch.testing import parametrize_with_checks


@parametrize_with_checks(["speaking-rate"])
def test_contract(matcher: str, check: Callable[[str], None]) -> None:
    check(matcher)


def test_durations_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["audio,expected_text,match"]
    for i, (seconds, text) in enumerate([(1, "ten lettrs"), (2, "ten lettrs"), (1, "ten")]):
        soundfile.write(
            tmp_path / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, 16000 * seconds), 16000
        )
        rows.append(f"{i}.wav,{text},{int(i == 0)}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    clips = open_manifest(tmp_path, labelled=True)
    run = Run(cache=tmp_path / "cache")
    matcher = SpeakingRate(SpeakingRateConfig())
    matcher.fit(clips, run)
    assert run.notes["letters_per_second"] == pytest.approx(10)
    wanted = matcher.predict(clips.unlabelled(), run)
    assert wanted.argmax() == 0
    with monkeypatch.context() as patch:
        patch.setattr("audiomatch_speaking_rate.durations.seconds", None)
        assert np.array_equal(matcher.predict(clips.unlabelled(), run), wanted)
    for file in [file for file in run.cache.rglob("*") if file.is_file()]:
        file.write_bytes(b"{")  # damaged: measured again
        assert np.array_equal(matcher.predict(clips.unlabelled(), run), wanted)
