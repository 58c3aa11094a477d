"""What a pretrained Whisper hears in a clip, and how likely it finds the expected text."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import replace
from functools import cache
from pathlib import Path

import audiomatch_whisper.evidence
import audiomatch_whisper.features
import audiomatch_whisper.loading
import audiomatch_whisper.network
import audiomatch_whisper.ragged
import audiomatch_whisper.texts
import audiomatch_whisper.tokens
import audiomatch_whisper.transcribing
import numpy as np
import torch
from audiomatch_torch import Compute, Weights, predict
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.evidence import next_token
from audiomatch_whisper.features import Features
from audiomatch_whisper.loading import Backbone, find, load
from audiomatch_whisper.network import Memory, decode, encode
from audiomatch_whisper.texts import Text, TextBatch, texts_of
from audiomatch_whisper.tokens import TextEncoder
from audiomatch_whisper.transcribing import Transcript, transcribe
from numpy.typing import NDArray

import audiomatch.audio
import audiomatch.clips
from audiomatch import Run, UserError
from audiomatch.clips import Clips
from audiomatch.progress import QuietProgress
from audiomatch.running.identity import computed_by, digest_of
from audiomatch_boosting.features import heard
from audiomatch_boosting.features.cache import file_digest, read_row, write_row
from audiomatch_boosting.features.heard import heard_features

AT_ONCE = 256  # clips whose spectrograms are held in memory, and lost by Ctrl-C
CPU_SECONDS_AT_ONCE = 60.0
MARGIN = 0.5  # seconds of silence after a clip
# Batch mates change the last bits of a float32; a tree's threshold would make a jump of them.
DECIMALS = 3


class Hearing:
    """The features of one set of Whisper weights.

    Attributes:
        weights: what `asr_weights` stands for.
    """

    def __init__(self, asr_weights: str) -> None:
        """Find the weights; raises `WeightsError`."""
        self.weights: Weights = find(WhisperConfig(weights=asr_weights))
        self._backbone: Backbone | None = None

    def facts(self) -> dict[str, str]:
        """Return what `run.note` should keep."""
        return {"asr_weights": self.weights.name, "asr_weights_digest": self.weights.digest}

    def fingerprint(self) -> dict[str, str]:
        """Return the digests of the weights, of these features and of audiomatch-whisper."""
        return {
            "asr_weights_digest": self.weights.digest,
            "asr_features": source_digest(),
            "asr_code": digest_of(computed_by("audiomatch_whisper")),
        }

    def check(self, state: dict[str, str], where: Path) -> None:
        """Raise `UserError` where a saved fingerprint is of other weights or features."""
        name, again = self.weights.name, "fit it again"
        for key, what, remedy in (
            (
                "asr_weights_digest",
                f"other Whisper weights than {name!r}",
                f"install them or {again}",
            ),
            ("asr_features", "another version of the features", again),
        ):
            fitted, now = state.get(key, ""), self.fingerprint()[key]
            if fitted != now:
                raise UserError(
                    f"{where}: this model was fitted on {what} "
                    f"({fitted[:12] or 'none'}, now {now[:12]}); {remedy}"
                )

    def table(self, clips: Clips, run: Run) -> NDArray[np.float32]:
        """Return the features of `clips`, finite, shape (n, features), columns as `columns`.

        What is not in `run.cache` is computed on the run's device and put there, a file for each
        audio and text. `precision=auto` is float32. Raises `ClipError` that names the clip.
        """
        run.note(**self.facts())
        run = replace(run, precision="fp32" if run.precision == "auto" else run.precision)
        version = f"{source_digest()}-{self.weights.digest}-{run.precision}-{run.device[:4]}"
        folder = run.cache / "boosting" / f"asr-{_short(version)}"
        table = np.empty((len(clips), len(columns())), np.float32)
        missing: dict[Path, list[int]] = {}
        for i, (path, text) in enumerate(zip(clips.paths, clips.texts, strict=True)):
            digest = file_digest(path)
            name = _short(f"{digest or path}\0{text}")
            place = folder / name[:2] / f"{name}.f32"
            # Of a file that cannot be read, log-mel says what is wrong.
            kept = read_row(place, len(columns())) if digest else None
            if kept is None:
                missing.setdefault(place, []).append(i)
            else:
                table[i] = kept
        places = sorted(missing, key=lambda place: missing[place])
        if not places:
            return table
        with run.progress.task("heard by Whisper", total=len(places)) as task:
            for start in range(0, len(places), AT_ONCE):
                some = places[start : start + AT_ONCE]
                rows = [missing[place][0] for place in some]
                for place, values in zip(some, self._measure(clips.take(rows), run), strict=True):
                    table[missing[place]] = values
                    write_row(place, values)
                task.advance(len(some))
        return table

    def _measure(self, clips: Clips, run: Run) -> NDArray[np.float32]:
        quiet = replace(run, progress=QuietProgress())
        compute = Compute(quiet)
        if self._backbone is None:
            self._backbone = load(self.weights)
        backbone = self._backbone
        model, text = backbone.model.to(compute.device), backbone.text  # type: ignore[arg-type]
        prompt, longest = text.own_prompt, model.config.max_target_positions
        texts = texts_of(clips, text, prompt, longest)
        features = Features(clips, backbone.extractor, quiet, "longest", MARGIN)
        expected = clips.texts

        def numbers(rows: NDArray[np.int64]) -> torch.Tensor:
            mel = torch.from_numpy(features(rows)).to(compute.device)
            memory = Memory.of(model, encode(model, [mel]))
            own = TextBatch.of([texts[i] for i in rows], len(prompt), compute.device)
            log_p = next_token(model, decode(model, own.reading, memory), own).cpu()
            counts = [len(texts[i].words) + 1 for i in rows]
            most = [min(2 * count + 20, longest - len(prompt)) for count in counts]
            found = transcribe(model, prompt, text.end, memory, most)
            return torch.tensor(
                [
                    list(
                        _features(
                            expected[i], texts[i], one[:count].double().numpy(), said, text
                        ).values()
                    )
                    for i, one, count, said in zip(rows, log_p, counts, found, strict=True)
                ],
                dtype=torch.float64,
            )

        at_once = CPU_SECONDS_AT_ONCE if compute.device.type == "cpu" else None
        found = predict(numbers, features.seconds, compute, quiet, capacity=at_once)
        return np.round(found, DECIMALS).astype(np.float32)


@cache
def columns() -> tuple[str, ...]:
    """Return the names of the features, in the order they are kept."""
    empty, encoder = Transcript([], [0.0], ended=True), TextEncoder.of_bytes()
    text = Text(np.zeros(2, np.int64), np.zeros(1, np.int64))
    return tuple(_features("a", text, np.zeros(2), empty, encoder))


@cache
def source_digest() -> str:
    """Return a digest of the code that decides the features; any change makes a new cache."""
    whisper = audiomatch_whisper
    modules = (
        *(audiomatch.audio, audiomatch.clips, heard, inspect.getmodule(Hearing)),
        *(whisper.evidence, whisper.features, whisper.loading, whisper.network, whisper.ragged),
        *(whisper.texts, whisper.tokens, whisper.transcribing),
    )
    return _short("".join(inspect.getsource(module) for module in modules if module))


def _short(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _features(
    expected: str,
    text: Text,
    log_p: NDArray[np.float64],
    said: Transcript,
    encoder: TextEncoder,
) -> dict[str, float]:
    """Features of one clip; `log_p` is that of each token of the text and of its end."""
    tokens = log_p[:-1]
    words = np.bincount(text.words, tokens)
    ranked = np.sort(words)
    own = float(np.mean(log_p))
    free = float(np.mean(said.log_p)) if said.log_p else 0.0
    return heard_features(expected, encoder.words(said.ids)) | {
        "asr_tokens": float(len(tokens)),
        "asr_words": float(len(words)),
        "asr_log_p_mean": float(tokens.mean()),
        "asr_log_p_least": float(tokens.min()),
        "asr_log_p_end": float(log_p[-1]),
        "asr_word_log_p_mean": float(words.mean()),
        "asr_word_log_p_least": float(ranked[0]),
        "asr_word_log_p_second": float(ranked[min(1, len(ranked) - 1)]),
        "asr_word_log_p_first": float(words[0]),
        "asr_word_log_p_last": float(words[-1]),
        "asr_heard_tokens": float(len(said.ids)),
        "asr_heard_ended": float(said.ended),
        "asr_heard_log_p_mean": free,
        "asr_heard_lead_mean": free - own,
        "asr_heard_lead": float(np.sum(said.log_p) - np.sum(log_p)),
    }
