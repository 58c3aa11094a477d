"""Which word of a text a clip does not say: evidence, calibration, times, and what was heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import Compute, load_into, load_tensors, save_tensors
from numpy.typing import NDArray

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE, load_audio
from audiomatch.clips import Clips
from audiomatch.errors import ClipError, UserError
from audiomatch.explanation import Explanation, TokenEvidence, WordEvidence
from audiomatch.matcher import Run
from audiomatch_whisper.alignment import attention, token_starts, word_spans
from audiomatch_whisper.calibration import FEWEST, matches_to_calibrate_on, wrong_texts
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.features import FRAMES_A_SECOND, log_mel, pad_frames
from audiomatch_whisper.head import Head
from audiomatch_whisper.judge import SILENCE_SECONDS, Judge
from audiomatch_whisper.listening import Listener
from audiomatch_whisper.network import Memory
from audiomatch_whisper.speech import Part, speech_part
from audiomatch_whisper.transcribing import transcribe
from audiomatch_whisper.word_evidence import NAMES, Found, Vocabulary, look, spell_others
from audiomatch_whisper.words import SpokenText, spoken_text

FILE = "words.safetensors"
CLIPS_AT_ONCE = 16


class Explainer:
    """Explains clips by a fitted judge.

    How probable a word is, given its evidence, is a logistic fitted on matches of the training
    part with one word replaced or put in. That is done when it is first needed, `save` included.
    """

    def __init__(self, judge: Judge, config: WhisperConfig) -> None:
        self.judge, self.config = judge, config
        self._head: Head | None = None
        self._examples: tuple[Clips, Run] | None = None

    def after(self, train: Clips, run: Run) -> Explainer:
        """Remember what to calibrate on."""
        matches = matches_to_calibrate_on(train, self.config.explain_clips, run.seed)
        self._examples = (matches, run)
        return self

    def save(self, folder: Path) -> None:
        """Write the calibration."""
        if self._head is None and self._examples is None:
            return
        save_tensors(self._calibrated().state_dict(), folder / FILE)

    def load(self, folder: Path) -> Explainer:
        """Restore what `save` wrote."""
        if (folder / FILE).is_file():
            self._head = Head(len(NAMES))
            load_into(self._head, load_tensors(folder / FILE), str(folder / FILE))
        return self

    def _calibrated(self) -> Head:
        if self._head is not None:
            return self._head
        if self._examples is None:
            raise UserError(f"this model has no {FILE}, which explaining needs; fit it again")
        clips, run = self._examples
        rows = np.resize(np.arange(len(clips)), max(len(clips), FEWEST))
        texts = wrong_texts([clips.texts[i] for i in rows], np.random.default_rng(run.seed))
        head = Head(len(NAMES))
        with torch.inference_mode(), run.progress.task("words", total=len(rows)) as task:
            ear = _Ear(self.judge, self.config, Compute(run))
            found = []
            for heard, (text, _) in zip(ear.listen(clips.take(rows)), texts, strict=True):
                found.append(ear.look(heard, spoken_text(text, ear.text)))
                task.advance()
        evidence = np.concatenate([one.evidence for one in found])
        head.fit(evidence, np.concatenate([right for _, right in texts]))
        self._head = head
        return head

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        """Return each clip's words with P(said), times, and what was heard in their place."""
        head = self._calibrated()
        judge = self.judge
        text = judge.backbone.text
        texts = judge.texts(clips)
        out: list[Explanation] = []
        with (
            torch.inference_mode(),
            run.progress.task("explain", total=len(clips)) as task,
        ):
            compute = Compute(run)
            ear = _Ear(judge, self.config, compute)
            head = head.to(compute.device)
            with compute.autocast():
                for i, heard in enumerate(ear.listen(clips)):
                    spoken = spoken_text(clips.texts[i], text)
                    found = ear.look(heard, spoken)
                    logit = judge(heard.listener.memory, [texts[i]])
                    evidence = torch.from_numpy(found.evidence).float().to(compute.device)
                    words = _words(
                        spoken,
                        found,
                        head(evidence).double().sigmoid().cpu().numpy(),
                        ear.starts(heard, spoken),
                        spell_others(heard.listener, spoken, found, ear.vocabulary),
                    )
                    p_match = float(logit.double().sigmoid())
                    said = Explanation(
                        clips.ids[i], clips.texts[i], p_match, heard.transcript, words
                    )
                    out.append(said)
                    task.advance()
        return out


@dataclass(frozen=True)
class _Heard:
    """A clip that was listened to, and what was heard in all of it."""

    part: Part
    listener: Listener
    transcript: str


class _Ear:
    """Encodes clips, and listens to silence: what the decoder expects without hearing anything."""

    def __init__(self, judge: Judge, config: WhisperConfig, compute: Compute) -> None:
        self.judge, self.config, self.compute = judge.place(compute).eval(), config, compute
        self.text = judge.backbone.text
        self.vocabulary = Vocabulary(self.text)
        quiet = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), dtype=np.float32)
        self.silence = self._listener(self._hear([quiet]))

    def listen(self, clips: Clips) -> Iterator[_Heard]:
        """Listen to each clip; several are transcribed at once."""
        whisper, prompt = self.judge.whisper, self.judge.prompt
        room = whisper.config.max_target_positions - len(prompt)
        for start in range(0, len(clips), CLIPS_AT_ONCE):
            rows = range(start, min(start + CLIPS_AT_ONCE, len(clips)))
            parts = [self._part(clips, row) for row in rows]
            memory = self._hear([part.audio for part in parts])
            # Nobody speaks ten tokens a second; a decoder caught in a loop stops here.
            most = [min(room, 16 + int(10 * len(part.audio) / SAMPLE_RATE)) for part in parts]
            found = transcribe(whisper, prompt, self.text.end, memory, most)
            for i, (part, said) in enumerate(zip(parts, found, strict=True)):
                listener = self._listener(memory.clip(i))
                yield _Heard(part, listener, self.text.words(said.ids).strip())

    def _part(self, clips: Clips, row: int) -> Part:
        try:
            return speech_part(load_audio(clips.paths[row]), self.config.trim)
        except ClipError as error:
            raise ClipError(f"{clips.where(row)}: {error}") from None

    def _hear(self, audio: Sequence[NDArray[np.float32]]) -> Memory:
        mels = [log_mel(one, self.judge.backbone.extractor, self.config.margin) for one in audio]
        if self.config.pad == "30s":
            mels = [pad_frames(mel, int(MAX_SECONDS * FRAMES_A_SECOND)) for mel in mels]
        device = self.compute.device
        return self.judge.hear(
            self.judge.lower([torch.from_numpy(mel)[None].to(device) for mel in mels])
        )

    def _listener(self, memory: Memory) -> Listener:
        return Listener(self.judge.whisper, self.text, self.judge.prompt, memory)

    def look(self, heard: _Heard, spoken: SpokenText) -> Found:
        """Judge the words of a text."""
        return look(heard.listener, self.silence, spoken, self.vocabulary, heard.transcript)

    def starts(self, heard: _Heard, spoken: SpokenText) -> NDArray[np.float64]:
        """Return when in the clip each token and the end begin, float64 of (tokens + 1,)."""
        prompt, part = self.judge.prompt, heard.part
        ids = torch.tensor([[*prompt, *spoken.ids]], device=self.compute.device)
        [weights] = attention(self.judge.whisper, ids, heard.listener.memory)
        return part.start + token_starts(weights, len(prompt), len(spoken.ids), part.bounds)


def _words(
    spoken: SpokenText,
    found: Found,
    probability: NDArray[np.float64],
    starts: NDArray[np.float64],
    rather: Sequence[str],
) -> tuple[WordEvidence, ...]:
    spans = word_spans(starts, spoken.first)
    inside = np.clip(starts, spans[0][0], spans[-1][1])
    return tuple(
        WordEvidence(
            word=word,
            probability=float(probability[i]),
            log_prob=float(found.log_p[spoken.span(i)].sum()),
            start=spans[i][0],
            end=spans[i][1],
            tokens=_tokens(spoken, found, inside, range(*spoken.span(i).indices(len(inside)))),
            heard=found.heard[i],
            rather=rather[i],
        )
        for i, word in enumerate(spoken.words)
    )


def _tokens(
    spoken: SpokenText, found: Found, starts: NDArray[np.float64], places: Sequence[int]
) -> tuple[TokenEvidence, ...]:
    return tuple(
        TokenEvidence(
            spoken.pieces[i], float(found.log_p[i]), float(starts[i]), float(starts[i + 1])
        )
        for i in places
    )
