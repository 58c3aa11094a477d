"""What a pretrained Whisper hears in a clip, and how likely it finds the expected text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from audiomatch_torch import Compute, Weights, predict
from audiomatch_whisper.backbone import (
    CrossAttentionCache,
    LogMels,
    TokenizedText,
    Transcript,
    Whisper,
    WhisperTokenizer,
    encode,
    find_whisper,
    load_whisper,
    refused_texts,
    score_tokens,
    texts_of,
    transcribe,
)
from numpy.typing import NDArray

from audiomatch import Run, UserError
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.progress import QuietProgress
from audiomatch.running.identity import computed_by, digest_of
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
        self.weights: Weights = find_whisper(asr_weights)
        self._whisper: Whisper | None = None

    def facts(self) -> dict[str, str]:
        """Return what `run.note` should keep."""
        commit = self.weights.commit
        return {
            "asr_weights": self.weights.name,
            "asr_weights_digest": self.weights.digest,
            **({"asr_weights_commit": commit} if commit else {}),
        }

    def fingerprint(self) -> dict[str, str]:
        """Return the digest of the weights."""
        return {"asr_weights_digest": self.weights.digest}

    def refuses(self, clips: Clips) -> list[str | None]:
        """Name texts that are too long for the Whisper, None for the others."""
        return refused_texts(clips, self.weights)

    def check(self, state: Mapping[str, Any], where: Path) -> None:
        """Raise `UserError` where a saved fingerprint is of other weights."""
        fitted, now = str(state.get("asr_weights_digest", "")), self.weights.digest
        if fitted != now:
            raise UserError(
                f"{where}: this model was fitted on other Whisper weights than "
                f"{self.weights.name!r} ({fitted[:12] or 'none'}, now {now[:12]}); install them or "
                "fit it again"
            )

    def table(self, clips: Clips, run: Run) -> NDArray[np.float32]:
        """Return the features of `clips`, finite, shape (n, features), columns as `columns`.

        What is not in `run.cache` is computed on the run's device and put there, under each audio
        and text. `precision=auto` is float32. Raises `ClipError` that names the clip.
        """
        run.note(**self.facts())
        run = replace(run, precision="fp32" if run.precision == "auto" else run.precision)
        version = {
            "code": computed_by(__name__),
            "weights": self.weights.digest,
            "precision": run.precision,
            "device": run.device.partition(":")[0],
        }
        keys = [digest_of(pair) for pair in zip(clips.digests, clips.texts, strict=True)]

        def compute(missing: list[int]) -> Iterator[NDArray[np.float32]]:
            with run.progress.task("heard by Whisper", total=len(missing)) as task:
                for start in range(0, len(missing), AT_ONCE):
                    some = missing[start : start + AT_ONCE]
                    yield from self._measure(clips.take(some), run)
                    task.advance(len(some))

        rows = ArrayCache(run, "boosting-asr", version).fill(keys, compute)
        return np.asarray(rows, np.float32).reshape(len(clips), len(columns()))

    def _measure(self, clips: Clips, run: Run) -> NDArray[np.float32]:
        quiet = replace(run, progress=QuietProgress())
        compute = Compute(quiet)
        if self._whisper is None:
            self._whisper = load_whisper(self.weights)
        whisper = self._whisper.to(compute.device)
        texts = texts_of(clips, whisper)
        mels = LogMels(clips, whisper.extractor, quiet, "longest", MARGIN)
        room = whisper.longest - len(whisper.tokenizer.own_prompt)

        def numbers(rows: NDArray[np.int64]) -> torch.Tensor:
            mel = torch.from_numpy(mels(rows)).to(compute.device)
            cache = CrossAttentionCache.of(whisper.decoder, encode(whisper.encoder, [mel]))
            own = texts.of_clip[rows]
            log_p = score_tokens(whisper, [texts.targets[i] for i in own], cache).cpu().double()
            tokenized = [texts.texts[i] for i in own]
            counts = [len(text.ids) + 1 for text in tokenized]
            maximum = [min(2 * count + 20, room) for count in counts]
            heard = transcribe(whisper, cache, maximum)
            return torch.tensor(
                [
                    list(
                        _features(
                            clips.texts[row], text, p[:count].numpy(), said, whisper.tokenizer
                        ).values()
                    )
                    for row, text, p, count, said in zip(
                        rows, tokenized, log_p, counts, heard, strict=True
                    )
                ],
                dtype=torch.float64,
            )

        at_once = CPU_SECONDS_AT_ONCE if compute.device.type == "cpu" else None
        found = predict(numbers, mels.seconds, compute, capacity=at_once)
        return np.round(found, DECIMALS).astype(np.float32)


@cache
def columns() -> tuple[str, ...]:
    """Return the names of the features, in the order they are kept."""
    tokenizer = WhisperTokenizer.of_bytes()
    text = TokenizedText(words=("a",), ids=(0,), pieces=("a",), first=(0,))
    return tuple(_features("a", text, np.zeros(2), Transcript(log_p=[0.0]), tokenizer))


def _features(
    expected: str,
    text: TokenizedText,
    log_p: NDArray[np.float64],
    said: Transcript,
    tokenizer: WhisperTokenizer,
) -> dict[str, float]:
    """Features of one clip; `log_p` is that of each token of the text and of its end."""
    tokens = log_p[:-1]
    words = np.bincount(text.word_of_token, tokens)
    ranked = np.sort(words)
    own = float(np.mean(log_p))
    free = float(np.mean(said.log_p)) if said.log_p else 0.0
    return heard_features(expected, tokenizer.decode(said.ids)) | {
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
