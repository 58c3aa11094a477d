"""How well `explain` finds the wrong word, and how well it tells when a word is said.

    python benchmarks/localisation.py DATA --matcher whisper@epochs=1 --train 200 --clips 100

DATA is labelled speech (so762). A part of its texts trains the matcher; from the matches of the
others each clip is explained five times: with its own text, with one word replaced by another
text's, with such a word put in, with one word taken out, and with another clip's text; and a sixth
time cut off where, by the first explanation, one of its words begins. How often the words of each
P(said) were said is told over all of them. Times are measured on sentences that festival speaks,
which knows when each word begins and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.datasets import choose_dataset
from audiomatch.explanation import Explanation, checked_explanations
from audiomatch.files import atomic_file
from audiomatch.plugins import registry
from audiomatch.progress import LineProgress
from audiomatch.spec import parse_matcher
from audiomatch.text import normalise_text

THRESHOLD = 0.5
BINS = (0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.01)
VOICES = ("kal_diphone", "cmu_us_slt_arctic_hts")


def make_variants(clips: Clips, seed: int) -> Clips:
    """Give each clip its own text, one with a word replaced, put in, taken out, and another's."""
    generator = np.random.default_rng(seed)
    texts = sorted(set(clips.texts))
    pool = sorted({word for text in clips.texts for word in text.split()})
    rows = []
    for row in clips.frame.to_dict("records"):
        words = row["expected_text"].split()
        at, gap = int(generator.integers(len(words))), int(generator.integers(len(words) + 1))
        known = {normalise_text(word) for word in words}
        other = next(
            w for w in (pool[i] for i in generator.permutation(len(pool)))
            if normalise_text(w) not in known
        )  # fmt: skip
        for kind, text, place in (
            ("untouched", words, -1),
            ("replaced", [*words[:at], other, *words[at + 1 :]], at),
            ("put in", [*words[:gap], other, *words[gap:]], gap),
            ("taken out", [*words[:at], *words[at + 1 :]], at),
            ("another's", _another(texts, row["expected_text"], generator).split(), -1),
        ):
            rows.append({**row, "id": f"{row['id']} {kind}", "expected_text": " ".join(text),
                         "kind": kind, "place": place})  # fmt: skip
    return Clips(pd.DataFrame(rows), clips.source)


def _another(texts: list[str], text: str, generator: np.random.Generator) -> str:
    """Draw a text that shares no word with `text`."""
    own = set(normalise_text(text).split())
    return next(
        other
        for other in (texts[i] for i in generator.permutation(len(texts)))
        if own.isdisjoint(normalise_text(other).split())
    )


def break_off(clips: Clips, found: list[Explanation], seed: int) -> Clips:
    """Cut each clip off where a word but its first begins, by its explanation."""
    generator = np.random.default_rng(seed)
    places = np.array([int(generator.integers(1, len(one.words))) for one in found])
    starts = np.nan_to_num(clips.segments[:, 0])
    ends = starts + [max(one.words[at].start, 0.1) for one, at in zip(found, places, strict=True)]
    cut = clips.with_column("kind", ["broken off"] * len(clips))
    cut = cut.with_column("id", [f"{name} broken off" for name in clips.ids])
    return cut.with_column("place", places.tolist()).with_segments(starts, ends)


def reliability(found: list[Explanation], variants: Clips) -> dict[str, dict[str, float]]:
    """Return of words by P(said), and of those never reached, how many there are and were said."""
    p, said, kinds = [], [], []
    for one, kind, place in zip(found, variants["kind"], variants["place"], strict=True):
        for i, word in enumerate(one.words):
            wrong = kind == "another's" or (kind in ("replaced", "put in") and i == place)
            p.append(word.probability)
            said.append(not wrong and not (kind == "broken off" and i >= place))
            kinds.append(kind)
    scores, labels = np.array(p), np.array(said)
    of = dict.fromkeys(sorted(set(kinds)), np.zeros(0))
    for kind in of:
        of[kind] = scores[~labels & (np.array(kinds) == kind)]
    table = {}
    for low, high in pairwise(BINS):
        own = (scores >= low) & (scores < high)
        table[f"{low} to {min(high, 1)}"] = {
            "words": int(own.sum()),
            "mean P(said)": float(scores[own].mean()) if own.any() else np.nan,
            "said": float(labels[own].mean()) if own.any() else np.nan,
        }
    flagged = {
        f"not said, {kind}": {"words": len(own), "under 0.5": float(np.mean(own < THRESHOLD))}
        for kind, own in of.items()
        if len(own)
    }
    return table | flagged


def judge_places(found: list[Explanation], variants: Clips) -> dict[str, dict[str, float]]:
    """Return how often the right word is the worst, and how words rank, for each kind of text.

    Where a word is taken out, the words beside the gap are the right ones to blame.
    """
    by_kind: dict[str, list[tuple[bool, bool, bool]]] = {}
    words: dict[str, list[tuple[int, float]]] = {}
    own_of: dict[str, list[Explanation]] = {}
    for one, kind, place in zip(found, variants["kind"], variants["place"], strict=True):
        own_of.setdefault(kind, []).append(one)
        p = [word.probability for word in one.words]
        right = {place - 1, place} if kind == "taken out" else {place}
        own = [p[i] for i in right if 0 <= i < len(p)]
        flagged = min(p) < THRESHOLD
        hit = bool(own) and min(own) < THRESHOLD
        by_kind.setdefault(kind, []).append((one.worst in right, flagged, hit))
        words.setdefault(kind, []).extend((int(i not in right), x) for i, x in enumerate(p))
    out = {}
    for kind, results in by_kind.items():
        table = np.array(results)
        labels, scores = zip(*words[kind], strict=True)
        out[kind] = {
            "clips": len(table),
            "words": len(labels),
            "flagged": float(table[:, 1].mean()),
        }
        if kind == "another's":
            worst = np.array([max(w.probability for w in one.words) for one in own_of[kind]])
            match = np.array([one.p_match for one in own_of[kind]])
            out[kind] |= {
                "words under 0.1": float(np.mean(np.array(scores) < 0.1)),
                "words under 0.5": float(np.mean(np.array(scores) < 0.5)),
                "clips with every word under 0.1": float(np.mean(worst < 0.1)),
                "clips with every word under 0.5": float(np.mean(worst < 0.5)),
                "P(match) under 0.1": float(np.mean(match < 0.1)),
            }
        elif kind == "untouched":
            out[kind]["words flagged"] = float(np.mean(np.array(scores) < THRESHOLD))
        else:
            out[kind] |= {
                "right word worst": float(table[:, 0].mean()),
                "right word flagged": float(table[:, 2].mean()),
                "AUROC over words": float(roc_auc_score(labels, scores)),
            }
    return out


def speak(text: str, voice: str, file: Path) -> list[tuple[float, float]]:
    """Let festival speak `text` into `file`; returns start and end of each word in seconds."""
    script = f"""
    (voice_{voice})
    (set! utt (utt.synth (eval (list 'Utterance 'Text {json.dumps(text)}))))
    (utt.save.wave utt {json.dumps(str(file))} 'riff)
    (mapcar
      (lambda (word) (format t "%s %f %f\\n"
        (item.name word) (item.feat word "word_start") (item.feat word "word_end")))
      (utt.relation.items utt 'Word))
    """
    with tempfile.NamedTemporaryFile("w", suffix=".scm") as scm:
        scm.write(script)
        scm.flush()
        out = subprocess.run(
            ["festival", "--batch", scm.name], capture_output=True, text=True, check=True
        ).stdout
    lines = [line.split() for line in out.splitlines() if len(line.split()) == 3]
    return [(float(start), float(end)) for _, start, end in lines]


def spoken_clips(folder: Path, most: int) -> tuple[Clips, list[list[tuple[float, float]]]]:
    """Let festival speak mini-screener's sentences; returns the clips and their word times."""
    info, path = choose_dataset(registry().datasets(), None, None)
    texts = [t for t in dict.fromkeys(info.open(path, True).texts) if len(t.split()) >= 4][:most]
    rows, times = [], []
    for text in texts:
        for voice in VOICES:
            file = folder / f"{len(rows)}.wav"
            known = speak(text, voice, file)
            if len(known) == len(text.split()):
                rows.append({"id": file.name, "audio": str(file), "expected_text": text})
                times.append(known)
    return Clips(pd.DataFrame(rows), "festival"), times


def judge_times(found: list[Explanation], known: list[list[tuple[float, float]]]) -> dict:
    """Return the error of word starts and ends against known times, in milliseconds."""
    pairs = [
        (1000 * (word.start - start), 1000 * (word.end - end))
        for one, times in zip(found, known, strict=True)
        for word, (start, end) in zip(one.words, times, strict=True)
    ]
    error = np.abs(np.array(pairs))
    return {
        "clips": len(found),
        "words": len(pairs),
        "start, median ms": float(np.median(error[:, 0])),
        "start, 90 % ms": float(np.quantile(error[:, 0], 0.9)),
        "end, median ms": float(np.median(error[:, 1])),
        "end, 90 % ms": float(np.quantile(error[:, 1], 0.9)),
        "starts within 100 ms": float(np.mean(error[:, 0] <= 100)),
        "starts within 200 ms": float(np.mean(error[:, 0] <= 200)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="labelled speech")
    parser.add_argument("--matcher", default="whisper")
    parser.add_argument("--train", type=int, default=300, help="clips to fit on")
    parser.add_argument(
        "--clips", type=int, default=300, help="matches to explain; 0 measures the times only"
    )
    parser.add_argument("--least-words", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=12, help="that festival speaks; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/audiomatch-localisation"))
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    asked = parser.parse_args()

    info, path = choose_dataset(registry().datasets(), asked.data, None)
    clips = info.open(path, True)
    generator = np.random.default_rng(asked.seed)
    groups = np.array(clips.text_groups)
    held = set(generator.permutation(np.unique(groups))[: len(np.unique(groups)) // 2])
    inside = np.array([group in held for group in groups])
    train = clips.take(np.sort(generator.permutation(np.flatnonzero(~inside))[: asked.train]))
    enough = np.array([len(text.split()) >= asked.least_words for text in clips.texts])
    matches = np.flatnonzero(inside & enough & (clips.labels == 1))
    chosen = clips.take(np.sort(generator.permutation(matches)[: asked.clips])).unlabelled()
    variants = make_variants(chosen, asked.seed) if asked.clips else chosen

    spec = parse_matcher(asked.matcher)
    matcher = registry().create(spec)
    run = Run(
        cache=asked.cache, device=asked.device, seed=asked.seed, progress=LineProgress(every=30)
    )
    seconds = {}
    started = time.perf_counter()
    matcher.fit(train, run)
    seconds["fit"] = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        times = None
        started = time.perf_counter()
        if asked.sentences:
            sentences, known = spoken_clips(Path(folder), asked.sentences)
            spoken = checked_explanations(matcher.explain(sentences, run), sentences)
            times = judge_times(spoken, known)
        seconds["calibrate, and explain the sentences"] = time.perf_counter() - started
    started = time.perf_counter()
    found = checked_explanations(matcher.explain(variants, run), variants) if asked.clips else []
    seconds["explain"] = time.perf_counter() - started
    said = {}
    if found:
        own = [i for i, kind in enumerate(variants["kind"]) if kind == "untouched"]
        cut = break_off(variants.take(own), [found[i] for i in own], asked.seed)
        broken = checked_explanations(matcher.explain(cut, run), cut)
        said = reliability([*found, *broken], Clips.concat([variants, cut]))
    results = {
        "command": f"python benchmarks/localisation.py {asked.data} --matcher {asked.matcher} "
        f"--train {asked.train} --clips {asked.clips} --seed {asked.seed}",
        "matcher": str(spec),
        "train clips": len(train),
        "threshold": THRESHOLD,
        "places": judge_places(found, variants) if found else {},
        "reliability": said,
        "times": times,
        "seconds": seconds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {asked.device}",
    }
    text = json.dumps(results, indent=2)
    print(text)
    if asked.out:
        with atomic_file(asked.out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
