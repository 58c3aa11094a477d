"""Which word of a text a clip does not say: P(said), times, what was heard, and what else fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import Compute, load_into, load_tensors, save_tensors
from numpy.typing import NDArray

from audiomatch.audio import map_audio
from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation, TokenEvidence, WordEvidence
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.explain.alternatives import spell_alternatives
from audiomatch_whisper.explain.calibration import (
    FEWEST,
    Example,
    SaidHead,
    calibration_clips,
    calibration_examples,
)
from audiomatch_whisper.explain.unreached import count_reached, lower_unreached, speech_frames
from audiomatch_whisper.explain.word_features import (
    ScoredWords,
    WordFeatures,
    score_words,
)
from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.net.greedy import decode_greedily
from audiomatch_whisper.score.alignment import cross_attention, token_starts, word_spans
from audiomatch_whisper.score.pipeline import Pipeline, Rows, pieces
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.sound.speech import Speech, speech_of
from audiomatch_whisper.sound.speech_check import SpeechCheck
from audiomatch_whisper.text.vocabulary import Vocabulary
from audiomatch_whisper.text.words import TokenizedText

FILE = "words.safetensors"
TEXTS_AT_ONCE = 16
EVERY = 2  # of so many clips of several words one is broken off too
SHORTEST = 0.1  # seconds that are left of one


class Explainer:
    """Explains clips by a fitted scorer, which is where `compute` computes, in `eval` mode.

    How probable a word is, given its features, is what two logistics say that are fitted on matches
    of the training part, with one word replaced or put in, with another text, and broken off. They
    are fitted when first asked for, by `prepare` or `explain`, not in `fit`: comparing matchers
    needs none.
    """

    def __init__(self, scorer: Scorer, config: WhisperConfig, check: SpeechCheck) -> None:
        self._scorer, self._config, self._check = scorer, config, check
        self._head: SaidHead | None = None
        self._examples: Clips | None = None
        self._seed = 0

    def remember(self, train: Clips, seed: int) -> Explainer:
        """Keep in mind what to calibrate on."""
        self._examples = calibration_clips(train, self._config.explain_clips, seed)
        self._seed = seed
        return self

    def save(self, folder: Path) -> None:
        """Write the calibration, where there is one."""
        if self._head is not None:
            save_tensors(self._head.cpu().state_dict(), folder / FILE)

    def load(self, folder: Path) -> Explainer:
        """Restore what `save` wrote."""
        if (folder / FILE).is_file():
            self._head = SaidHead(len(WordFeatures._fields))
            load_into(self._head, load_tensors(folder / FILE), str(folder / FILE))
        return self

    def prepare(self, compute: Compute) -> None:
        """Calibrate where that can be done: not of a model that was saved without."""
        if self._examples is not None:
            self.calibrate(compute)

    def calibrate(self, compute: Compute) -> SaidHead:
        """Fit the logistics over the words' features, where that is not done; return them."""
        if self._head is not None:
            return self._head
        if self._examples is None:
            raise UserError(
                f"this model has no {FILE}, which explaining needs: it was not prepared for that "
                "before it was saved, as `audiomatch fit` does; fit it again"
            )
        clips = self._examples
        rows = np.resize(np.arange(len(clips)), max(len(clips), FEWEST))
        examples = calibration_examples(
            [clips.texts[i] for i in rows], np.random.default_rng(self._seed), self._fits
        )
        wrong = clips.take(rows[[one.of for one in examples]])
        wrong = wrong.with_column("expected_text", [one.text for one in examples])
        features, reached = self._listen_to_words(wrong, compute)
        whole = [i for i, text in enumerate(clips.texts) if len(text.split()) > 1][::EVERY]
        if whole:
            cut, unfinished = self._broken_off(clips.take(whole), compute)
            features_cut, reached_cut = self._listen_to_words(cut, compute)
            features, reached = features + features_cut, reached + reached_cut
            examples += unfinished
        head = SaidHead(len(WordFeatures._fields))
        head.fit(features, examples, reached)
        self._head = head
        return head

    def _listen_to_words(
        self, clips: Clips, compute: Compute
    ) -> tuple[list[NDArray[np.float64]], list[int]]:
        """Return the features of each clip's words, (words, width), and how many were reached."""
        features: list[NDArray[np.float64]] = [np.empty(0)] * len(clips)
        reached = [0] * len(clips)
        frames = self._speech_frames(clips, compute)

        def keep(heard: _Heard) -> None:
            for i, clip in enumerate(heard.clips):
                text = heard.texts[i]
                spans = word_spans(self._token_starts(heard, i), text.first)
                features[clip] = heard.words[i].features.stacked()
                reached[clip] = count_reached(text.words, spans, frames[clip])

        self._listen(Pipeline(self._scorer, clips, self._config, compute), "words", keep)
        return features, reached

    def _speech_frames(self, clips: Clips, compute: Compute) -> list[NDArray[np.bool_] | None]:
        """Return in which frames of each clip somebody speaks; None where the check is off."""
        if not self._check.on:
            return [None] * len(clips)
        return [*map_audio(clips, speech_frames, compute.run, "speech")]

    def _broken_off(self, clips: Clips, compute: Compute) -> tuple[Clips, list[Example]]:
        """Cut each recording off where one of its words begins, by the attention, but the first."""
        generator = np.random.default_rng(self._seed)
        places = [int(generator.integers(1, len(text.split()))) for text in clips.texts]
        starts = np.nan_to_num(clips.segments[:, 0])
        ends = starts.copy()

        def keep(heard: _Heard) -> None:
            for i, clip in enumerate(heard.clips):
                first = heard.texts[i].first[places[clip]]
                seconds = max(SHORTEST, float(self._token_starts(heard, i)[first]))
                ends[clip] = starts[clip] + seconds  # again where memory ran out

        self._listen(Pipeline(self._scorer, clips, self._config, compute), "words", keep)
        examples = []
        for i, (text, place) in enumerate(zip(clips.texts, places, strict=True)):
            said = np.arange(len(text.split())) < place
            examples.append(Example(i, text, said.astype(np.int8)))
        return clips.with_segments(starts, ends), examples

    def explain(
        self, clips: Clips, compute: Compute, calibration: Calibration
    ) -> list[Explanation]:
        """Return each clip's words with P(said), times, and what was heard in their place.

        P(match) is the `calibration` of the scorer's logit. P(said) is low for words that were not
        reached, and both where nobody speaks.
        """
        pipeline = Pipeline(self._scorer, clips, self._config, compute)
        head = self.calibrate(compute).to(compute.device)
        found: dict[int, Explanation] = {}

        def keep(heard: _Heard) -> None:
            targets = pipeline.targets_of(heard.clips)
            logits = self._scorer(heard.cache, targets, heard.owner, heard.silent)
            p_match = calibration(logits.cpu().double().numpy()).tolist()
            others = spell_alternatives(
                self._scorer,
                heard.cache,
                heard.texts,
                heard.owner,
                heard.words,
                self._vocabulary,
            )
            for i, clip in enumerate(heard.clips):
                words, text = heard.words[i], heard.texts[i]
                features = torch.from_numpy(words.features.stacked()).float()
                p_said = head(features.to(compute.device))
                starts = self._token_starts(heard, i)
                found[int(clip)] = Explanation(
                    clips.ids[clip],
                    clips.texts[clip],
                    p_match[i],
                    heard.transcripts[i],
                    _words(text, words, p_said.cpu().numpy(), starts, others[i]),
                )

        self._listen(pipeline, "explain", keep)
        frames = self._speech_frames(clips, compute)
        return [lower_unreached(found[i], own) for i, own in enumerate(frames)]

    def _fits(self, text: str) -> bool:
        """Say whether the decoder holds a text, its prompt and its end."""
        whisper = self._scorer.whisper
        tokens = len(TokenizedText.of(text, whisper.tokenizer).ids)
        return tokens + len(self._scorer.prompt) < whisper.longest

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._scorer.whisper.tokenizer)

    def _listen(self, pipeline: Pipeline, label: str, keep: Callable[[_Heard], None]) -> None:
        """Transcribe every clip and score its words, some at a time, and give them to `keep`."""
        whisper, prompt = self._scorer.whisper, self._scorer.prompt
        speech = speech_of(pipeline.recorded, self._config.trim)
        silent = pipeline.score_silence()
        room = whisper.longest - len(prompt)

        def listen(recordings: Rows) -> torch.Tensor:
            clips, owner = pipeline.clips_of(recordings)
            cache = pipeline.encode(recordings)
            # Nobody speaks ten tokens a second; a decoder caught in a loop stops here.
            maximum = [min(room, 16 + int(10 * speech[i].seconds)) for i in recordings]
            said = decode_greedily(whisper.model, prompt, whisper.tokenizer.end, cache, maximum)
            transcripts = [whisper.tokenizer.decode(one.ids).strip() for one in said]
            for part in pieces(len(clips), TEXTS_AT_ONCE):
                texts = [pipeline.texts.texts[i] for i in pipeline.texts.of_clip[clips[part]]]
                quiet = pipeline.silent_of(silent, clips[part])
                heard = [transcripts[i] for i in owner[part]]
                words = score_words(
                    self._scorer, cache, texts, owner[part], quiet, heard, self._vocabulary
                )
                keep(
                    _Heard(
                        clips=clips[part],
                        owner=owner[part],
                        cache=cache,
                        texts=texts,
                        speech=[speech[recordings[i]] for i in owner[part]],
                        silent=quiet,
                        transcripts=heard,
                        words=words,
                    )
                )
            return torch.zeros(len(recordings))

        pipeline.each_recording(listen, label)

    def _token_starts(self, heard: _Heard, i: int) -> NDArray[np.float64]:
        """Return when in the clip each token and the end begin, float64 of (tokens + 1,)."""
        prompt, text, speech = self._scorer.prompt, heard.texts[i], heard.speech[i]
        alone = heard.cache.clip(int(heard.owner[i]))
        weights = cross_attention(self._scorer.model, [*prompt, *text.ids], alone)
        [starts] = token_starts([weights], len(prompt), speech.bounds)
        return speech.start + starts


@dataclass(frozen=True)
class _Heard:
    """Clips that were encoded together, and what was heard in them.

    Attributes:
        clips: their positions.
        owner: the place in `cache` of each.
        cache: of their recordings.
        texts: of each clip.
        speech: where in each clip the speech is.
        silent: log probability of each token given silence, (clips, maximum).
        transcripts: what was heard in all of each clip.
        words: of each clip's text.
    """

    clips: Rows
    owner: Rows
    cache: CrossAttentionCache
    texts: list[TokenizedText]
    speech: list[Speech]
    silent: torch.Tensor
    transcripts: list[str]
    words: list[ScoredWords]


def _words(
    text: TokenizedText,
    scored: ScoredWords,
    p_said: NDArray[np.float64],
    starts: NDArray[np.float64],
    others: list[str],
) -> tuple[WordEvidence, ...]:
    spans = word_spans(starts, text.first)
    inside = np.clip(starts, spans[0][0], spans[-1][1])
    return tuple(
        WordEvidence(
            word=word,
            probability=float(p_said[i]),
            log_prob=float(scored.log_p[text.span(i)].sum()),
            start=spans[i][0],
            end=spans[i][1],
            tokens=tuple(
                TokenEvidence(
                    text.pieces[token],
                    float(scored.log_p[token]),
                    float(inside[token]),
                    float(inside[token + 1]),
                )
                for token in range(text.span(i).start, text.span(i).stop)
            ),
            heard=scored.heard[i],
            rather=others[i],
        )
        for i, word in enumerate(text.words)
    )
