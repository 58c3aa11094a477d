"""Each layout, from a small sample made as its own tools write it."""

from __future__ import annotations

import gzip
import json
import re
import time
import zipfile
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
from audiomatch.plugins import registry

Sample = Callable[[Path], Path]
LHOTSE_CUTS = "corpus_cuts_train.jsonl.gz"
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
    json_lines(folder / LHOTSE_CUTS, rows)
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


# The name that each is written back by, beside the source, as its layout names its own.
BACK: dict[Sample, str] = {
    common_voice: "scored.tsv",
    nemo: "scored.json",
    kaldi: "scored",
    lhotse_cuts: "scored_cuts.jsonl.gz",
    lhotse_supervisions: "scored_supervisions.jsonl",
    speechocean: "scored.csv",
    saved: "scored",
    excel: "scored.xlsx",
    texts_beside: "scored.csv",
}


def write_back(found: Opened, target: Path, only: Any = None) -> pd.DataFrame:
    """Write what was opened with columns more, which are returned."""
    layout = registry().datasets()[found.dataset]
    assert layout.write is not None
    index = found.clips.frame.index
    more = pd.DataFrame({"p_match": np.arange(len(index)) / 8, "verdict": "no speech"}, index=index)
    layout.write(sample_path(found), target, more, only)
    return more


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
@pytest.mark.parametrize("sample", BACK)
def test_what_is_written_back_is_read_as_the_source_is(tmp_path: Path, sample: Sample) -> None:
    for file in ("a.wav", "b.wav") if sample is excel else ():
        tone(tmp_path / file)
    source = opened(sample(tmp_path))
    target = tmp_path / BACK[sample]
    write_back(source, target)
    back = opened(target)
    tables = sample in (speechocean, texts_beside)
    assert back.dataset == ("manifest" if tables else source.dataset)
    assert sorted(back.clips.texts) == sorted(source.clips.texts)
    assert back.clips.seconds.tolist() == source.clips.seconds.tolist()
    assert back.clips.labelled == source.clips.labelled == (sample is not texts_beside)
    if source.clips.labelled:
        assert back.clips.labels.tolist() == source.clips.labels.tolist()
    if sample is not kaldi:
        written = back.clips["p_match"].astype(float).tolist()
        assert written == [i / 8 for i in range(len(source.clips))]
    last = list(source.clips.frame.index[:0:-1])
    if sample is not kaldi:
        write_back(back, target := tmp_path / f"again-{target.name}", back.clips.frame.index[:0:-1])
    else:
        write_back(source, target := tmp_path / "again", last)
    again = opened(target)
    assert len(again.clips) == len(last)
    assert sorted(again.clips.texts) == sorted(source.clips.texts[1:])
    if sample not in (kaldi, saved):
        assert again.clips.texts == source.clips.texts[:0:-1]
    if "verdict" in again.clips.frame:
        assert set(again.clips["verdict"]) == {"no speech"}


def test_nemo_is_written_back(tmp_path: Path) -> None:
    found = opened(nemo(tmp_path))
    more = pd.DataFrame({"p_match": [0.5]}, index=found.clips.frame.index[1:])
    write = registry().datasets()["nemo"].write
    assert write is not None
    write(sample_path(found), tmp_path / "out.json", more, None)
    first, second = map(json.loads, (tmp_path / "out.json").read_text().splitlines())
    assert "p_match" not in first and second["p_match"] == 0.5 and second["offset"] == 1


def test_kaldi_is_written_sorted_and_whole(tmp_path: Path) -> None:
    folder = kaldi(tmp_path / "in")
    (folder / "spk2utt").write_text("s1 u1\ns2 u2\n")
    (folder / "wav.scp").write_text("r2 audio/none.wav\nr1 audio/r1.wav\n")
    found = opened(folder)
    rows = found.clips.frame.index
    with pytest.warns(UserWarning, match="sorted by utterance"):
        write_back(found, tmp_path / "all", rows[::-1])
    read = {f.name: f.read_text().splitlines() for f in (tmp_path / "all").iterdir()}
    assert read["text"] == ["u1 WE CALL IT BEAR", "u2 THE CAT SAT"]
    assert read["utt2p_match"] == ["u1 0.0", "u2 0.125"]
    assert read["utt2verdict"] == ["u1 no speech", "u2 no speech"]
    assert read["wav.scp"] == [f"r1 {folder}/audio/r1.wav"]
    write_back(found, tmp_path / "one", rows[1:])
    read = {f.name: f.read_text() for f in (tmp_path / "one").iterdir()}
    assert read["spk2utt"] == "s2 u2\n" and read["segments"] == "u2 r1 0.75 -1\n"
    assert read["utt2label"] == "u2 0\n" and read["utt2p_match"] == "u2 0.125\n"


def test_a_cut_keeps_what_is_left_of_its_supervisions(tmp_path: Path) -> None:
    content = gzip.decompress((lhotse_cuts(tmp_path) / LHOTSE_CUTS).read_bytes())
    cuts = [json.loads(line) for line in content.splitlines()]
    second = {**cuts[0]["supervisions"][0], "id": "other", "text": "other words"}
    cuts[0]["supervisions"].append(second)
    source = opened(json_lines(tmp_path / "two_cuts.jsonl", cuts[:2]))
    rows = source.clips.frame.index
    target = tmp_path / "left_cuts.jsonl"
    write_back(source, target, [rows[2], rows[1]])
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [[one["id"] for one in line["supervisions"]] for line in lines] == [["u1"], ["other"]]
    assert lines[1]["recording"] == cuts[0]["recording"] and lines[1]["id"] == "c0"
    assert lines[1]["supervisions"][0]["custom"]["p_match"] == 0.125


def test_a_sheet_keeps_its_name_and_the_others(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(excel(tmp_path))
    book.worksheets[0].title = "Takes"
    book.create_sheet("Notes")["A1"] = "kept"
    book.save(tmp_path / "clips.xlsx")
    with pytest.warns(UserWarning, match="read Path as audio"):
        write_back(opened(tmp_path / "clips.xlsx"), tmp_path / "out.xlsx")
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert book.sheetnames == ["Takes", "Notes"] and book["Notes"]["A1"].value == "kept"
    rows = list(book["Takes"].iter_rows(values_only=True))
    assert rows[0] == ("Path", "Sentence", "Label", "Grade", "p_match", "verdict")
    assert rows[2] == ("a.wav", "one", True, 1, 0, "no speech")


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
def test_a_sheet_has_the_cells_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(excel(tmp_path)) as packed:
        parts = {name: packed.read(name).decode() for name in packed.namelist()}
    sheet = next(name for name in parts if name.endswith("sheet1.xml"))
    for size, cell in (("A1:XFD1048576", ""), ("A1:A1", '<row r="9"><c r="F9"><v>7</v></c></row>')):
        changed = re.sub('<dimension ref="[^"]*"', f'<dimension ref="{size}"', parts[sheet])
        changed = changed.replace("</sheetData>", f"{cell}</sheetData>")
        with zipfile.ZipFile(tmp_path / "clips.xlsx", "w") as out:
            for name, content in {**parts, sheet: changed}.items():
                out.writestr(name, content)
        started = time.process_time()
        if cell:
            with pytest.raises(UserError, match="row 9 .*: expected_text is empty"):
                opened(tmp_path / "clips.xlsx")
        else:
            assert len(opened(tmp_path / "clips.xlsx").clips) == 2
        assert time.process_time() - started < 2
    packed_otherwise = (
        (tmp_path / "clips.xlsx")
        .read_bytes()
        .replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\x01\0")
    )
    (tmp_path / "locked.xlsx").write_bytes(packed_otherwise)
    with pytest.raises(UserError, match="not readable as xlsx: .*encrypted"):
        opened(tmp_path / "locked.xlsx")
    monkeypatch.setattr("audiomatch_datasets.excel.MOST_BYTES", 1_000)
    with pytest.raises(UserError, match="unpacked it is larger than"):
        opened(tmp_path / "clips.xlsx")


@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
@pytest.mark.parametrize("only", [None, [4, 3]])
def test_a_text_is_never_a_formula_of_a_sheet(tmp_path: Path, only: Any) -> None:
    book = openpyxl.load_workbook(excel(tmp_path))
    cell = book.worksheets[0]["B3"]
    cell.value, cell.data_type = "=1+1", "s"
    book.save(tmp_path / "clips.xlsx")
    found = opened(tmp_path / "clips.xlsx")
    layout = registry().datasets()[found.dataset]
    assert layout.write is not None
    more = pd.DataFrame({"=heard": ["=2+2", "@x"]}, index=[3, 4])
    layout.write(Path(found.source), tmp_path / "out.xlsx", more, only)
    cells = [c for row in openpyxl.load_workbook(tmp_path / "out.xlsx").worksheets[0] for c in row]
    texts = {cell.value: cell.data_type for cell in cells if isinstance(cell.value, str)}
    assert {"=1+1", "=2+2", "@x", "=heard"} <= texts.keys() and set(texts.values()) == {"s"}


def test_a_saved_dataset_says_the_types_of_its_columns(tmp_path: Path) -> None:
    source = saved(tmp_path)
    info = {
        "features": {name: {"_type": "Value", "dtype": "x"} for name in ("audio", "text", "label")}
    }
    (source / "train" / "dataset_info.json").write_text(json.dumps(info))
    with pytest.warns(UserWarning, match="read text as"):
        found = opened(source)
    write_back(found, tmp_path / "out", found.clips.frame.index[1:])
    features = json.loads((tmp_path / "out" / "train" / "dataset_info.json").read_text())[
        "features"
    ]
    assert list(features) == ["audio", "text", "label", "p_match", "verdict"]
    assert features["p_match"]["dtype"] == "float64"
    write_back(found, tmp_path / "out.parquet")
    with pytest.warns(UserWarning, match="read text as"):
        back = opened(tmp_path / "out.parquet").clips
    assert (
        back["split"].tolist() == ["train", "train", "test"] and back.seconds.tolist() == [1.0] * 3
    )


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


@pytest.mark.parametrize("value", ["[red]", None, [1], {"a": 1}, 10**400, -1])
def test_a_score_that_is_no_number_is_named(tmp_path: Path, value: Any) -> None:
    speechocean(tmp_path)
    speakers = (tmp_path / "train" / "utt2spk").rename(tmp_path / "utt2spk")
    with pytest.raises(UserError, match="no utt2spk"):
        opened(tmp_path)
    speakers.rename(tmp_path / "train" / "utt2spk")
    file = tmp_path / "resource" / "scores.json"
    scores = json.loads(file.read_text())
    next(iter(scores.values()))["accuracy"] = value
    file.write_text(json.dumps(scores))
    with pytest.raises(UserError, match="a score of the utterance .* is no number"):
        opened(tmp_path)


def test_splits_of_another_type_and_names_without_end_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "kaldi").mkdir()
    folder = saved(tmp_path / "saved")
    for splits in (True, "train", {"a": 1}, [1]):
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
        with pytest.raises(UserError, match="splits must be a list of names"):
            opened(folder)
    folder = kaldi(tmp_path / "kaldi")
    (folder / "wav.scp").write_text(f"r1 {'x' * 5_000}\n")
    assert len(opened(folder).clips) == 2
