"""Datasets of the Hugging Face hub, from a server that answers as the hub does."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from audiomatch_datasets import hub

from audiomatch.errors import UserError
from audiomatch.inputs import open_data
from tests.hub_server import Hub, Repo

Serve = Callable[[dict[str, bytes]], list[str]]


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
    server = Hub()
    server.use(tmp_path / "hub", monkeypatch)
    hub.fetch.cache_clear()

    def start(own: dict[str, bytes]) -> list[str]:
        repository = server.repos["datasets/owner/name"] = Repo()
        repository.branches["v1"] = repository.commit(own)
        return server.asked

    yield start
    server.stop()
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
