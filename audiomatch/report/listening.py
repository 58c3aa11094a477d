"""The clips of a report: which are listed, and what can be heard of them."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, recordings
from audiomatch.clips import Clips
from audiomatch.errors import ClipError
from audiomatch.explanation import Explanation
from audiomatch.private import relative_link
from audiomatch.report.words import words_of
from audiomatch.scoring.clip_table import ClipTable
from audiomatch.scoring.clusters import Array

SCATTERED = 1000  # clips of the chart of a pair
LISTED = 2000  # clips in a page; more make it slow
EMBEDDED = 1_000_000  # characters of embedded sound
WORST = 20  # clips of each matcher of which the sound is embedded
_QUALITY = 0.9  # compression of MP3, of which 1 is the most: 27 kbit/s


class Heard(NamedTuple):
    """What is there of the sound of clips, by their ids.

    Attributes:
        sounds: embedded sound, as base64.
        addresses: where else it is.
        marks: the clips whose label was marked as wrong.
        words: what is known of their words.
    """

    sounds: Mapping[str, str]
    addresses: Mapping[str, str]
    marks: Collection[str]
    words: Mapping[str, Explanation]


def worst_of(pooled: ClipTable, matchers: Sequence[str], most: int) -> list[int]:
    """Return the clips that matchers are most wrong about, the worst of each in turn."""
    ranked = [_by_error(pooled.y, pooled.p[name])[:most] for name in matchers]
    turns = itertools.zip_longest(*(order.tolist() for order in ranked))
    return list(dict.fromkeys(i for turn in turns for i in turn if i is not None))


def _by_error(y: Array, p: Array) -> NDArray[np.int64]:
    error = np.where(np.isnan(p), -1.0, np.abs(y - p))
    order = np.argsort(-error, kind="stable")
    return order[error[order] >= 0]


def listed(pooled: ClipTable, matchers: Sequence[str], most: int = LISTED) -> list[int]:
    """Return the clips that a page lists: half of them the worst, the others spread evenly."""
    n = len(pooled.clips)
    if n <= most:
        return list(range(n))
    worst = worst_of(pooled, matchers, most // (2 * max(len(matchers), 1)))[: most // 2]
    rest = np.setdiff1d(np.arange(n), worst)
    return [*worst, *rest[np.linspace(0, len(rest) - 1, most - len(worst)).astype(int)].tolist()]


def embedded(pooled: ClipTable, clips: Clips, matchers: Sequence[str]) -> dict[str, str]:
    """Return the sound of the worst clips by their ids: MP3, 16 kHz, as base64.

    A clip that cannot be read any more is left out.
    """
    rows = {name: i for i, name in enumerate(clips.ids)}
    found: dict[str, str] = {}
    size = 0
    for i in worst_of(pooled, matchers, WORST):
        name = str(pooled.clips["id"].iloc[i])
        if name not in rows:
            continue
        try:
            samples = recordings(clips.take([rows[name]]))[0].load()
        except ClipError:
            continue
        sound = base64.b64encode(_mp3(samples)).decode()
        size += len(sound)
        if size > EMBEDDED:
            break
        found[name] = sound
    return found


def _mp3(samples: NDArray[np.float32]) -> bytes:
    """Return samples as MP3, which every browser plays."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="MP3", compression_level=_QUALITY)
    return file.getvalue()


def links(clips: Clips, folder: Path) -> dict[str, str]:
    """Return the addresses of the clips' files from a page in `folder`, where they tell nothing."""
    found = {}
    for name, path, (start, end) in zip(clips.ids, clips.paths, clips.segments, strict=True):
        link = relative_link(folder, path)
        if link is not None:
            ends = ",".join("" if np.isnan(at) else f"{at:g}" for at in (start, end)).rstrip(",")
            found[name] = link + (f"#t={ends}" if ends else "")
    return found


def clip_list(
    pooled: ClipTable,
    matchers: Sequence[str],
    heard: Heard,
    hide: Callable[[str], str],
    most: int = LISTED,
) -> dict[str, Any]:
    """Return what the page's script lists.

    Args:
        pooled: the predictions.
        matchers: whose probabilities are told.
        heard: what can be heard of them.
        hide: what shortens paths in ids.
        most: how many clips are listed.
    """
    text = "expected_text" if "expected_text" in pooled.clips else "group"
    ids = pooled.clips["id"].astype(str).tolist()
    columns = {name: pooled.clips[name].astype("string").fillna("").tolist()
               for name in (text, "task", "grade", "negative") if name in pooled.clips}  # fmt: skip
    none = [""] * len(ids)
    rows = [
        {
            "id": hide(ids[i]),
            "text": columns[text][i],
            "task": columns.get("task", none)[i],
            "grade": columns.get("grade", none)[i],
            "match": int(pooled.y[i]),
            "p": [_rounded(pooled.p[name][i]) for name in matchers],
            "sound": heard.sounds.get(ids[i], ""),
            "link": heard.addresses.get(ids[i], ""),
            "marked": ids[i] in heard.marks,
            "words": _words(heard.words.get(ids[i]), columns[text][i]),
        }
        for i in listed(pooled, matchers, most)
    ]
    return {"rows": rows, "all": len(ids), "matchers": list(matchers)}


def _words(known: Explanation | None, text: str) -> dict[str, Any] | None:
    """Return what is shown of a clip's words; None where nothing is known of this text."""
    return None if known is None or known.text != text else words_of(known)


def scatter(pooled: ClipTable, hide: Callable[[str], str]) -> dict[str, Any]:
    """Return the clips of the chart of a pair, spread evenly over all."""
    n = len(pooled.clips)
    chosen = np.unique(np.linspace(0, max(n - 1, 0), min(n, SCATTERED)).astype(int))
    p = {
        name: [None if np.isnan(one) else round(float(one), 3) for one in values[chosen]]
        for name, values in pooled.p.items()
    }
    ids = [hide(str(name)) for name in pooled.clips["id"].iloc[chosen]]
    return {"id": ids, "match": pooled.y[chosen].astype(int).tolist(), "p": p}


def _rounded(p: float) -> float | None:
    return None if np.isnan(p) else round(float(p), 5)
