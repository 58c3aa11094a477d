"""Each layout, from a small sample made as its own tools write it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow
import pytest
import soundfile

from audiomatch import UserError
from audiomatch.inputs import Opened, open_data

Sample = Callable[[Path], Path]
TEXTS = ("we call it bear", "the cat sat", "moon")


def tone(file: Path, seconds: float = 1.0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(16_000 * seconds)) / 16_000
    soundfile.write(file, 0.3 * np.sin(2764 * time), 16_000)
    return file


def json_lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    return file


def common_voice(folder: Path) -> Path:
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage"
    for name, votes in (("validated", "2\t0"), ("invalidated", "1\t2")):
        rows = [f"s{i}\t{name}-{i}.wav\t{text}\t{votes}\t" for i, text in enumerate(TEXTS)]
        rows.append(f's9\t{name}-0.wav\t"Say ""hello\t{votes}\t')
        (folder / f"{name}.tsv").write_text("\n".join([head, *rows]) + "\n")
        for i in range(3):
            tone(folder / "clips" / f"{name}-{i}.wav")
    return folder


def nemo(folder: Path) -> Path:
    tone(folder / "a.wav", 2.0)
    rows = [
        {"audio_filepath": "a.wav", "offset": i, "duration": 1.0, "text": text, "label": i % 2}
        for i, text in enumerate(TEXTS[:2])
    ]
    return json_lines(folder / "train_manifest.json", rows)


def kaldi(folder: Path) -> Path:
    tone(folder / "audio" / "r1.wav", 2.0)
    (folder / "wav.scp").write_text("r1 audio/r1.wav\n")
    (folder / "segments").write_text("u1 r1 0.0 0.75\nu2 r1 0.75 -1\n")
    (folder / "text").write_text("u2 THE CAT SAT\nu1 WE CALL IT BEAR\n")
    (folder / "utt2spk").write_text("u1 s1\nu2 s2\n")
    (folder / "utt2label").write_text("u1 1\nu2 0\n")
    return folder


def lhotse_rows(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for i, text in enumerate(TEXTS):
        file = tone(folder / "audio" / f"{i}.wav", 2.0)
        source = {"type": "file", "channels": [0], "source": str(file.relative_to(folder))}
        recording = {"id": f"r{i}", "sources": [source], "sampling_rate": 16_000,
                     "num_samples": 32_000, "duration": 2.0, "channel_ids": [0]}  # fmt: skip
        supervision = {"id": f"u{i}", "recording_id": f"r{i}", "start": 0.25, "duration": 1.0,
                       "channel": 0, "text": text, "speaker": "s",
                       "custom": {"match": i % 2}}  # fmt: skip
        yield recording, supervision


def lhotse_cuts(folder: Path) -> Path:
    rows = [
        {"id": f"c{i}", "start": 0.5, "duration": 1.5, "channel": 0, "type": "MonoCut",
         "supervisions": [supervision], "recording": recording}
        for i, (recording, supervision) in enumerate(lhotse_rows(folder))
    ]  # fmt: skip
    json_lines(folder / "corpus_cuts_train.jsonl.gz", rows)
    return folder


def lhotse_supervisions(folder: Path) -> Path:
    recordings, supervisions = map(list, zip(*lhotse_rows(folder), strict=True))
    json_lines(folder / "corpus_recordings_train.jsonl.gz", recordings)
    return json_lines(folder / "corpus_supervisions_train.jsonl.gz", supervisions)


def speechocean(folder: Path) -> Path:
    scores = {}
    for half, speaker in (("train", "0001"), ("test", "0003")):
        (folder / half).mkdir()
        lines: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk")}
        for i, text in enumerate(TEXTS):
            name = f"{speaker}{i:05}"
            file = tone(folder / "WAVE" / f"SPEAKER{speaker}" / f"{name}.WAV")
            for table, value in (
                ("wav.scp", file.relative_to(folder)),
                ("text", text.upper()),
                ("utt2spk", speaker),
            ):
                lines[table].append(f"{name}\t{value}\n")
            word = {"text": "BEAR", "phones": "B EH0 R", "accuracy": 10, "stress": 10, "total": 10,
                    "phones-accuracy": [2.0, 2.0, 1.8], "mispronunciations": []}  # fmt: skip
            scores[name] = {"text": text.upper(), "accuracy": 5 + 2 * i, "completeness": 10.0,
                            "fluency": 9, "prosodic": 9, "total": 8, "words": [word]}  # fmt: skip
        for table, rows in lines.items():
            (folder / half / table).write_text("".join(rows))
        (folder / half / "spk2age").write_text(f"{speaker}\t6\n")
    (folder / "resource").mkdir()
    (folder / "resource" / "scores.json").write_text(json.dumps(scores))
    return folder


def saved(folder: Path) -> Path:
    for split, count in (("train", 2), ("test", 1)):
        place = folder / split
        place.mkdir()
        audio = [{"bytes": tone(folder / "a.wav").read_bytes(), "path": f"{split}-{i}.wav"}
                 for i in range(count)]  # fmt: skip
        rows = {"audio": audio, "text": list(TEXTS[:count]), "label": list(range(count))}
        table = pyarrow.table(rows)
        with pyarrow.ipc.new_stream(place / "data-00000-of-00001.arrow", table.schema) as stream:
            stream.write_table(table)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (place / "state.json").write_text(json.dumps(state))
        (place / "dataset_info.json").write_text("{}")
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return folder


def excel(folder: Path) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [("Path", "Sentence", "Label", "Grade"), (), ("a.wav", "one", True, 1),
                ("b.wav", 7, False, None)]:  # fmt: skip
        sheet.append(row)
    book.save(folder / "clips.xlsx")
    return folder / "clips.xlsx"


def texts_beside(folder: Path) -> Path:
    for speaker, suffix in (("s1", "txt"), ("s2", "lab")):
        for i, text in enumerate(TEXTS):
            tone(folder / speaker / f"{i}.wav").with_suffix(f".{suffix}").write_text(f"{text}\n")
    return folder


def opened(data: Path, labelled: bool | None = None, **how: Any) -> Opened:
    return open_data(data, labelled, **how)


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
@pytest.mark.parametrize(
    ("sample", "name", "labels", "seconds"),
    [
        (common_voice, "common-voice", [1] * 4 + [0] * 4, [1.0] * 8),
        (nemo, "nemo", [0, 1], [1.0, 1.0]),
        (kaldi, "kaldi", [1, 0], [0.75, 1.25]),
        (lhotse_cuts, "lhotse", [0, 1, 0], [1.0] * 3),
        (lhotse_supervisions, "lhotse", [0, 1, 0], [1.0] * 3),
        (speechocean, "speechocean762", [0, 1, 1, 0, 1, 1], [1.0] * 6),
        (saved, "huggingface", [0, 1, 0], [1.0] * 3),
    ],
)
def test_clips_and_labels_are_those_of_the_source(
    tmp_path: Path, sample: Sample, name: str, labels: list[int], seconds: list[float]
) -> None:
    found = opened(sample(tmp_path), True)
    assert found.dataset == name and found.clips.labels.tolist() == labels
    assert found.clips.seconds.tolist() == seconds
    assert not opened(sample_path(found), False).clips.labelled


def sample_path(found: Opened) -> Path:
    return Path(found.source)


def test_common_voice_reads_quotes_as_letters(tmp_path: Path) -> None:
    clips = opened(common_voice(tmp_path)).clips
    assert clips.texts[3] == '"Say "hello' and clips["speaker"].tolist()[:2] == ["s0", "s1"]
    alone = opened(tmp_path / "validated.tsv")
    assert alone.dataset == "common-voice" and alone.clips.labels.tolist() == [1] * 4
    table = tmp_path / "validated.tsv"
    table.write_text(table.read_text().replace("\t2\t0", "\ttwo\t0", 1))
    with pytest.raises(UserError, match="validated.tsv, row 2: up_votes is 'two'"):
        opened(tmp_path)


def test_kaldi_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    folder = kaldi(tmp_path)
    assert opened(folder).clips.texts == ["WE CALL IT BEAR", "THE CAT SAT"]
    assert opened(folder).clips["speaker"].tolist() == ["s1", "s2"]
    for value, says in (
        ("sph2pipe -f wav a.sph |", "row 1: the recording is the output of a command"),
        ("raw.ark:1234", "row 1: the recording is inside an archive"),
    ):
        (folder / "wav.scp").write_text(f"r1 {value}\n")
        with pytest.raises(UserError, match=says):
            opened(folder)
    (folder / "wav.scp").write_text("r2 audio/r1.wav\n")
    with pytest.raises(UserError, match="segments, row 1: must be utterance, recording of wav.scp"):
        opened(folder)
    (folder / "segments").unlink()
    with pytest.raises(UserError, match="text: no line for the utterance 'r2'"):
        opened(folder)


def test_speechocean_keeps_its_scores(tmp_path: Path) -> None:
    frame = opened(speechocean(tmp_path)).clips.frame
    assert frame["split"].tolist() == ["train"] * 3 + ["test"] * 3
    assert frame["accuracy"].tolist() == [5.0, 7.0, 9.0] * 2 and set(frame["age"]) == {"6"}
    assert json.loads(frame["words"].iloc[0])[0]["phones-accuracy"] == [2.0, 2.0, 1.8]
    (tmp_path / "resource" / "scores.json").write_text("{}")
    with pytest.raises(UserError, match="no full scores of the utterance '000100000'"):
        opened(tmp_path)


def test_lhotse_refuses_what_is_no_single_channel(tmp_path: Path) -> None:
    assert opened(lhotse_cuts(tmp_path)).clips.segments.tolist() == [[0.75, 1.75]] * 3
    file = tmp_path / "cuts.jsonl"
    row = {"id": "c", "type": "MixedCut", "tracks": []}
    with pytest.raises(UserError, match="cuts.jsonl, row 1: is 'MixedCut'; must be a MonoCut"):
        opened(json_lines(file, [row]))
    recording, supervision = next(lhotse_rows(tmp_path))
    recording["sources"][0]["channels"] = [0, 1]
    row = {"id": "c", "recording": recording, "supervisions": [supervision]}
    with pytest.raises(UserError, match="row 1: the recording must be one file of one channel"):
        opened(json_lines(file, [row]))
    with pytest.raises(UserError, match="row 1: not as Lhotse writes it"):
        opened(json_lines(file, [{**row, "recording": {}}]))
    with pytest.raises(UserError, match="holds several manifests"):
        opened(tmp_path)


def test_nemo_is_written_back(tmp_path: Path) -> None:
    found = opened(nemo(tmp_path))
    more = pd.DataFrame({"p_match": [0.5]}, index=found.clips.frame.index[1:])
    from audiomatch.plugins import registry

    write = registry().datasets()["nemo"].write
    assert write is not None
    write(sample_path(found), tmp_path / "out.json", more)
    first, second = map(json.loads, (tmp_path / "out.json").read_text().splitlines())
    assert "p_match" not in first and second["p_match"] == 0.5 and second["offset"] == 1


def test_sheets_are_read_by_their_rows(tmp_path: Path) -> None:
    file = excel(tmp_path)
    with pytest.warns(UserWarning, match="read Path as audio"):
        clips = opened(file, True).clips
    assert clips.texts == ["one", "7"] and clips.labels.tolist() == [1, 0]
    assert clips["grade"].tolist() == ["1", ""]
    with pytest.warns(UserWarning), pytest.raises(UserError, match=r"xlsx, row 3.*no such audio"):
        _ = opened(file).clips.seconds
    file.write_bytes(b"no sheet")
    with pytest.raises(UserError, match="not readable as xlsx"):
        opened(file)


def test_texts_lie_beside_recordings(tmp_path: Path) -> None:
    found = opened(texts_beside(tmp_path))
    assert found.dataset == "texts-beside" and found.clips.texts == list(TEXTS) * 2
    assert found.clips.ids[0] == "s1/0.wav" and not found.clips.labelled
    with pytest.raises(UserError, match="no column 'match'"):
        opened(tmp_path, True)
    (tmp_path / "s1" / "0.txt").unlink()
    with pytest.raises(
        UserError, match=r"must have its text beside it in 0.txt or 0.lab; has none"
    ):
        opened(tmp_path)


def test_a_manifest_goes_first(tmp_path: Path) -> None:
    row = "audio,expected_text,match\ns1/0.wav,one,1\n"
    (texts_beside(tmp_path) / "manifest.csv").write_text(row)
    assert opened(tmp_path).dataset == "manifest"
    (tmp_path / "clips").mkdir()
    (tmp_path / "own.tsv").write_text(row.replace(",", "\t"))
    assert opened(tmp_path / "own.tsv").dataset == "manifest"


def test_a_short_row_of_a_sheet_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [("audio", "expected_text"), ("a.wav",), ("b.wav", "two", "three")]:
        sheet.append(row)
    book.save(tmp_path / "clips.xlsx")
    with pytest.raises(UserError, match="clips.xlsx, row 2 .*expected_text is empty"):
        opened(tmp_path / "clips.xlsx")


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
@pytest.mark.parametrize(
    ("sample", "damaged"),
    [
        (common_voice, "validated.tsv"),
        (nemo, "train_manifest.json"),
        (kaldi, "wav.scp"),
        (kaldi, "segments"),
        (kaldi, "text"),
        (lhotse_cuts, "corpus_cuts_train.jsonl.gz"),
        (speechocean, "resource/scores.json"),
        (saved, "train/state.json"),
        (saved, "train/data-00000-of-00001.arrow"),
        (excel, "clips.xlsx"),
    ],
)
def test_damaged_files_give_one_line(tmp_path: Path, sample: Sample, damaged: str) -> None:
    data, file = sample(tmp_path), tmp_path / damaged
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(12):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(content), 3):
            content[at] = rng.integers(0, 256)
        file.write_bytes(content)
        try:
            opened(data)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 600
