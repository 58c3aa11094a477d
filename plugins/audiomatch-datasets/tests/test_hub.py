"""Datasets of the Hugging Face hub, from a server that answers as the hub does."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from audiomatch_datasets import hub

from audiomatch.errors import UserError
from audiomatch.inputs import open_data

Serve = Callable[[dict[str, bytes]], list[str]]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def wav(seed: int) -> bytes:
    noise = np.random.default_rng(seed).normal(size=8_000).astype(np.float32) / 9
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="WAV")
    return file.getvalue()


def parquet(texts: list[str], first: int) -> bytes:
    audio = [{"bytes": wav(first + i), "path": f"{first + i}.wav"} for i in range(len(texts))]
    file = io.BytesIO()
    rows = {"audio": audio, "sentence": texts, "match": [1, 0][: len(texts)]}
    pd.DataFrame(rows).to_parquet(file)
    return file.getvalue()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve the files of a repository at owner/name; returns what was asked for, as it comes."""
    files: dict[str, bytes] = {}
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            begun, *_ = self.path.split("?")
            if begun.startswith(f"/datasets/owner/name/resolve/{COMMIT}/"):
                name = begun.partition(f"{COMMIT}/")[2]
                self.answer(files[name], {"ETag": hashlib.sha1(files[name]).hexdigest()})
            elif begun.startswith("/api/datasets/owner/name/revision/") and "gone" not in begun:
                siblings = [{"rfilename": name, "size": len(d)} for name, d in files.items()]
                facts = {"id": "owner/name", "sha": COMMIT, "siblings": siblings}
                self.answer(json.dumps(facts).encode(), {"Content-Type": "application/json"})
            elif begun.startswith("/api/datasets/owner/name/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": len(d), "oid": "0"}
                    for name, d in files.items()
                ]
                self.answer(json.dumps(tree).encode(), {"Content-Type": "application/json"})
            else:
                code = "RevisionNotFound" if "owner/name" in begun else "RepoNotFound"
                self.answer(b"", {"X-Error-Code": code}, 404)

        do_HEAD = do_GET  # noqa: N815 - as the server calls it

        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {**headers, "X-Repo-Commit": COMMIT}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in (("ENDPOINT", address), ("HF_HUB_OFFLINE", False),
                        ("HF_HUB_CACHE", str(tmp_path / "hub")),
                        ("HF_HUB_DISABLE_XET", True)):  # fmt: skip
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    hub.fetch.cache_clear()

    def start(own: dict[str, bytes]) -> list[str]:
        files.update(own)
        return asked

    yield start
    server.shutdown()
    hub.fetch.cache_clear()


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
@pytest.mark.parametrize("name", ["hf:owner/name", "hf://datasets/owner/name", "hf:owner/name@v1"])
def test_parquet_of_a_repository_is_read_and_its_recordings_left(serve: Serve, name: str) -> None:
    asked = serve(
        {
            "README.md": b"# A corpus",
            "data/train-00000-of-00002.parquet": parquet(["one", "two"], 0),
            "data/train-00001-of-00002.parquet": parquet(["three"], 2),
            "data/test-00000-of-00001.parquet": parquet(["four"], 3),
            "raw/0.wav": wav(0),
        }
    )
    clips = open_data(Path(name), labelled=True).clips  # a path, as commands give it
    assert clips.texts == ["four", "one", "two", "three"]
    assert clips["split"].tolist() == ["test", "train", "train", "train"]
    assert clips.labels.tolist() == [1, 1, 0, 1] and clips.seconds.tolist() == [0.5] * 4
    assert not any("wav" in path for path in asked)


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
def test_recordings_with_metadata_are_read(serve: Serve) -> None:
    table = b"file_name,transcription\na.wav,one\nb.wav,two\n"
    serve({"train/metadata.csv": table, "train/a.wav": wav(0), "train/b.wav": wav(1)})
    clips = open_data("hf:owner/name", labelled=False).clips
    assert clips.texts == ["one", "two"] and clips["split"].tolist() == ["train"] * 2
    assert clips.seconds.tolist() == [0.5, 0.5]


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
def test_what_is_in_the_cache_is_read_offline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = serve({"data/train-00000-of-00001.parquet": parquet(["one"], 0)})
    first = open_data("hf:owner/name", labelled=False).clips
    hub.fetch.cache_clear()
    asked.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again = open_data("hf:owner/name", labelled=False).clips
    assert again.digests == first.digests and not asked
    hub.fetch.cache_clear()
    with pytest.raises(UserError, match="not in the hub's cache"):
        open_data("hf:owner/another", labelled=False)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:owner/missing", "the hub has no such dataset"),
        ("hf:owner/name@gone", "has no revision 'gone'"),
        ("hf:name", "must be hf:owner/name"),
    ],
)
def test_what_the_hub_has_not_is_named(serve: Serve, name: str, says: str) -> None:
    serve({})
    with pytest.raises(UserError, match=says) as caught:
        open_data(name, labelled=False)
    assert "\n" not in str(caught.value)
