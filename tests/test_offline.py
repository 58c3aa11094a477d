"""`--offline`: no network call at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Ends the process where anything looks up a name or connects to another machine.
WATCHED = """
import os, socket, sys
def seen(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect"):
        if not (event == "socket.connect" and arguments[0].family == socket.AF_UNIX):
            os.write(2, f"{event} {arguments}\\n".encode())
            os._exit(99)
sys.addaudithook(seen)
from audiomatch.cli import main
main()
"""


@pytest.mark.plugins
def test_offline_makes_no_network_call(corpus: Path, tmp_path: Path) -> None:
    told = ["fit", "hubert-ctc@weights=owner/name", str(corpus), "--out", str(tmp_path / "model")]
    keep = {k: v for k, v in os.environ.items() if "OFFLINE" not in k}
    environment = {**keep, "HF_HOME": str(tmp_path / "hub"), "AUDIOMATCH_CACHE": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, *told, "--offline"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr[-2000:]
    assert "not in the hub's cache, and --offline" in ended.stderr
