"""The benchmark of a GPU, on a CPU and a tiny Whisper."""

import importlib
import json
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_it_measures_a_size_and_says_what_there_was_no_time_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu = importlib.import_module("gpu")
    options = {"--device": "cpu", "--sizes": "64x1", "--clips": "4", "--own": "", "--bench": ""}
    options["--reference"] = "whisper@epochs=1"
    for minutes in ("10", "0"):
        own = {**options, "--minutes": minutes, "--out": str(tmp_path / minutes)}
        arguments = [part for option in own.items() for part in option]
        monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
        gpu.main()
    [row] = json.loads((tmp_path / "10.json").read_text())["measured"]
    assert row["weights"] == "random" and row["fit_clips_per_second"] > 0
    assert row["predict_clips_per_second"] > 0 and row["predict_peak_memory_mb"] > 0
    assert "| 64x1 | `whisper@epochs=1` | random |" in (tmp_path / "10.md").read_text()
    assert "there was no time for it" in (tmp_path / "0.md").read_text()
