"""The kinds of input: what makes a damaged one of a seed, and what reads it."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import re
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

import audiomatch
from audiomatch.decoding import decode
from audiomatch.inputs import open_data
from audiomatch.plugins import registry
from audiomatch.records import FoldsRecord, Leaderboard, RunRecord
from audiomatch.report import write_report
from audiomatch.results import Comparison
from audiomatch.running.array_store import ArrayStore
from audiomatch.running.kept import read_fold
from audiomatch.spec import parse_matchers
from benchmarks.fuzzing import models
from benchmarks.fuzzing.damage import VALUES, Folder, damaged, damaged_file, overwritten

AUDIO = (
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "GSM610"), ("W64", "PCM_16"), ("RF64", "PCM_24"),
    ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "ALAC_16"), ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
)  # fmt: skip
AV = (("mp4", "aac"), ("matroska", "libopus"), ("webm", "libopus"), ("ipod", "alac"),
      ("mov", "aac"), ("flv", "aac"))  # fmt: skip
SPECS = ("whisper@epochs=1@lr=3e-5", "ensemble@members=(xgboost@rounds=3,prior)", "a,b,c")
MARK = "<fuzz-mark onload=x>"


@dataclass
class Kind:
    """A kind of input.

    Attributes:
        name: in the table.
        share: of a hundred inputs.
        make: a damaged input of a seed.
        read: reads it; raises `UserError`.
    """

    name: str
    share: float
    make: Callable[[random.Random], Any]
    read: Callable[[Any], object]


def encoded(kind: str, subtype: str) -> bytes:
    """Return a quarter of a second of noise in a format of libsndfile."""
    noise = np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format=kind, subtype=subtype)
    return file.getvalue()


def encoded_av(container: str, codec: str) -> bytes:
    """Return a quarter of a second of noise in a format of FFmpeg."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=48_000, layout="mono")
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 12_000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="flt", layout="mono")
        frame.sample_rate = 48_000
        resampled = av.AudioResampler(stream.format, "mono", 48_000).resample(frame)
        for packet in [p for one in (*resampled, None) for p in stream.encode(one)]:
            out.mux(packet)
    return file.getvalue()


def recordings(_place: Path) -> list[Kind]:
    """Audio in every format."""
    sounds = [encoded(*one) for one in AUDIO] + [encoded_av(*one) for one in AV]
    return [
        Kind(
            "recordings",
            30,
            lambda rng: rng.choice((damaged, overwritten))(rng.choice(sounds), rng),
            lambda data: decode(data, "clip"),
        )
    ]


def tables(place: Path) -> list[Kind]:
    """Manifests, labels and submissions in every format of a table."""
    (place / "a.wav").write_bytes(encoded("WAV", "PCM_16"))
    rows = pd.DataFrame(
        {
            "audio": ["a.wav"] * 6,
            "expected_text": list("abcdef"),
            "match": [0, 1] * 3,
            "speaker": ["x", None] * 3,
            "start": [0.0, 0.1] * 3,
        }
    )
    sheet = io.BytesIO()
    rows.to_excel(sheet, index=False)
    text = rows.to_csv(index=False).encode()
    good = {
        ".csv": text,
        ".csv.gz": gzip.compress(text),
        ".tsv": rows.to_csv(index=False, sep="\t").encode(),
        ".jsonl": rows.to_json(orient="records", lines=True).encode(),
        ".parquet": rows.to_parquet(),
        ".xlsx": sheet.getvalue(),
    }

    def table(rng: random.Random) -> Path:
        ending = rng.choice(list(good))
        file = place / f"table{ending}"
        file.write_bytes(damaged(good[ending], rng))
        return file

    return [Kind("tables", 19, table, lambda file: open_data(file, None).clips.segments)]


def layouts(place: Path) -> list[Kind]:
    """Folders of each layout."""
    tests = Path(__file__).parents[2] / "plugins/audiomatch-datasets/tests/test_layouts.py"
    makers = runpy.run_path(str(tests))
    folders = [drivendata(place / "drivendata")]
    for name in ("common_voice", "nemo", "kaldi", "lhotse_cuts", "speechocean", "saved"):
        (place / name).mkdir()
        made = makers[name](place / name)
        folders.append(made if made.is_dir() else made.parent)
    copies = [Folder(one, place / "layout" / one.name) for one in folders]
    return [
        Kind(
            "layouts",
            6,
            lambda rng: rng.choice(copies).damaged(rng),
            lambda folder: open_data(folder, None).clips.segments,
        )
    ]


def drivendata(folder: Path) -> Path:
    """Write metadata and labels as DrivenData does."""
    folder.mkdir()
    (folder / "a.wav").write_bytes(encoded("WAV", "PCM_16"))
    (folder / "train_metadata.csv").write_text(
        "filename,task,expected_text,grade\na.wav,deletion,moon,1\n"
    )
    (folder / "train_labels.csv").write_text("filename,score\na.wav,1.0\n")
    (folder / "submission_format.csv").write_text("filename,score\na.wav,0.5\n")
    return folder


def specs(_place: Path) -> list[Kind]:
    """What names matchers."""
    return [
        Kind(
            "specs",
            11,
            lambda rng: damaged(rng.choice(SPECS).encode(), rng).decode(errors="replace"),
            lambda text: parse_matchers(text),
        )
    ]


def light_models(place: Path) -> list[Kind]:
    """Model folders of matchers without torch; what is accepted predicts."""
    for offer in registry().matchers().values():
        offer.matcher_type()  # a card may name any; imported once, before workers are forked
    clip = [(np.random.default_rng(0).normal(0, 0.1, 8_000), 16_000, "moon")]
    kinds = []
    for number, named in enumerate(models.LIGHT):
        model = models.fitted(named, place / f"model-{number}", place / "cache")
        name = re.sub(r"@(rounds|inner_folds)=\d+", "", named)
        kinds.append(_of_model(name, 1.5, model, place, clip))
    return kinds


def torch_models(place: Path) -> list[Kind]:
    """Model folders of each torch matcher; what is accepted predicts."""
    clip = [(np.random.default_rng(0).normal(0, 0.1, 8_000), 16_000, "moon")]
    kinds = []
    for name, named in models.torch_matchers(place / "weights").items():
        model = models.fitted(named, place / name, place / "cache")
        kinds.append(_of_model(name, 0.5, model, place, clip))
    return kinds


def _of_model(name: str, share: float, model: Path, place: Path, clip: Any) -> Kind:
    def read(folder: Path) -> object:
        found = audiomatch.load(folder, device="cpu", cache=place / "cache", workers=1)
        return found.predict(clip)

    copies = Folder(model, place / "other")
    return Kind(f"model {name}", share, copies.damaged, read)


def weights(place: Path) -> list[Kind]:
    """CTranslate2's model.bin, and Hugging Face folders as a fit begins with them."""
    from audiomatch_whisper.backbone import load_whisper

    folders = [
        models.ctranslate2_weights(place / f"ct2-{kind}", kind)
        for kind in ("float32", "float16", "int8", "int16")
    ]
    copies = [Folder(folder, place / "ct2") for folder in folders]
    whole = Folder(models.whisper_weights(place / "hugging-face"), place / "hf")
    return [
        Kind(
            "CTranslate2",
            6,
            lambda rng: rng.choice(copies).damaged(rng),
            lambda folder: load_whisper(str(folder)),
        ),
        Kind("Hugging Face", 1, whole.damaged, lambda folder: load_whisper(str(folder))),
    ]


def _run(place: Path) -> Comparison:
    return _compared(place / "run", place)


def _compared(out: Path, place: Path) -> Comparison:
    return audiomatch.compare(
        "mini-screener",
        "prior",
        folds=2,
        limit=40,
        out=out,
        executor="inline",
        cache=place / "cache",
    )


def records(place: Path) -> list[Kind]:
    """What a run folder holds."""
    folder = _run(place).folder
    files: dict[str, Callable[[Path], object]] = {
        "leaderboard.json": Leaderboard.read,
        "run.json": RunRecord.read,
        "folds.json": FoldsRecord.read,
        next((folder / "folds").glob("prior*")).name: read_fold,
    }

    def record(name: str, read: Callable[[Path], object]) -> Kind:
        place.joinpath("again").mkdir(exist_ok=True)
        file, other = next(folder.rglob(name)), place / "again" / name
        good = file.read_bytes()

        def make(rng: random.Random) -> Path:
            other.write_bytes(damaged_file(name, good, rng))
            return other

        return Kind("a kept fold" if read is read_fold else name, 3, make, read)

    return [record(*one) for one in files.items()]


def runs(place: Path) -> list[Kind]:
    """Run folders: what is compared again has the same figures."""
    done = _run(place)
    copies = Folder(done.folder, place / "run-again")

    def again(folder: Path) -> None:
        found = _compared(folder, place)
        assert found.leaderboard["log_loss"].equals(done.leaderboard["log_loss"])

    return [Kind("run folders", 0.1, copies.damaged, again)]


def reports(place: Path) -> list[Kind]:
    """The report of records that hold what they like: no markup of theirs is in it."""
    done = _run(place)
    return [Kind("reports", 0.9, functools.partial(_marked, done), functools.partial(_page, place))]


def _marked(done: Any, rng: random.Random) -> tuple[Any, Any, Any]:
    """Return the records and predictions of a run with a mark in texts of others."""

    def mark(content: Any) -> Any:
        if isinstance(content, dict):
            return {key: mark(value) for key, value in content.items()}
        if isinstance(content, list):
            return [mark(value) for value in content]
        if isinstance(content, str) and rng.random() < 0.2:
            return content + rng.choice((MARK, *(v for v in VALUES if isinstance(v, str))))
        return content

    predictions = done.predictions.assign(task="a", grade="b")
    for column in ("expected_text", "group"):
        predictions[column] = [mark(str(value)) for value in predictions[column]]
    notes = {"warning": MARK, "weights": MARK}
    run = done.run.model_dump(mode="json")
    data = mark(run["data"]) | {"skipped": [MARK], "warnings": [MARK]}
    results = [{**one, "notes": notes} for one in run["results"]]
    return (
        done.record,
        predictions,
        RunRecord.model_validate_json(json.dumps({**run, "data": data, "results": results})),
    )


def _page(place: Path, made: tuple[Any, Any, Any]) -> None:
    write_report(place, *made)
    assert MARK not in (place / "report.html").read_text(encoding="utf-8"), "unescaped markup"


def caches(place: Path) -> list[Kind]:
    """The files of the array cache: what is found is what was kept, or nothing is."""
    kept = {f"k{i}": np.arange(i * 40, dtype=np.float32) for i in range(1, 6)}
    ArrayStore(place / "store").put(kept)
    copies = Folder(place / "store", place / "store-again")

    def read(folder: Path) -> object:
        found = ArrayStore(folder).get(kept)
        assert all(np.array_equal(kept[key], array) for key, array in found.items())
        return found

    return [Kind("array caches", 2, copies.damaged, read)]


MAKERS = (
    recordings,
    tables,
    layouts,
    specs,
    light_models,
    weights,
    torch_models,
    records,
    runs,
    reports,
    caches,
)
