"""The plan of the corpus: which voice says what, drawn from a seed before any sound is made."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.disrupted import DISRUPTED
from corpus.prompts import PROMPTS, Prompt
from corpus.voices import VOICES, Voice

SEED = 1
CLIPS_PER_TEXT = 9
# The length of a clip, speech and silence together, is drawn without regard to the label, so that
# an answer with pauses or with a word missing does not show by its length.
CLIP_SECONDS = {
    "deletion": (1.8, 2.8),
    "blending": (2.6, 3.8),
    "nonword_repetition": (1.9, 2.9),
    "sentence_repetition": (3.3, 4.6),
}


@dataclass(frozen=True)
class Acoustics:
    """How a clip is to sound, apart from what is said and by whom."""

    pitch: float
    formants: float
    pace: float
    seconds: float
    lead: float
    pauses: tuple[float, ...]
    reverberation: float
    room: float
    noise_colour: float
    noise_ratio: float
    level: float
    seed: int


@dataclass(frozen=True)
class Clip:
    """One planned clip."""

    id: str
    prompt: Prompt
    match: bool
    spoken: str
    error: str
    voice: Voice
    acoustics: Acoustics


def _shuffled(rng: random.Random, items: Sequence) -> list:
    """Shuffle by sorting on `random()`, whose stream Python promises to keep."""
    keys = [rng.random() for _ in items]
    return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]


def _acoustics(rng: random.Random, task: str) -> Acoustics:
    return Acoustics(
        pitch=rng.uniform(0.95, 1.05),
        formants=rng.uniform(0.98, 1.02),
        pace=rng.uniform(0.92, 1.06),
        seconds=rng.uniform(*CLIP_SECONDS[task]),
        lead=rng.uniform(0.2, 0.8),
        pauses=tuple(rng.uniform(0.4, 0.65) for _ in range(3)),
        reverberation=rng.uniform(0.12, 0.35),
        room=rng.uniform(10.0, 20.0),
        noise_colour=rng.uniform(0.4, 1.2),
        noise_ratio=rng.uniform(18.0, 32.0),
        level=rng.uniform(-32.0, -20.0),
        seed=int(rng.random() * 2**31),
    )


def make_plan(
    seed: int = SEED, voices: Sequence[Voice] = VOICES, prompts: Sequence[Prompt] = PROMPTS
) -> list[Clip]:
    """Draw the clips, in the order of their ids.

    Each text gets `CLIPS_PER_TEXT` different voices and one more right than wrong answer or one
    less; voices are used evenly in each task and are right about as often as wrong.
    """
    rng = random.Random(seed)
    used: Counter[tuple[str, str]] = Counter()
    lead: Counter[tuple[str, str]] = Counter()
    drawn = []
    for prompt in _shuffled(rng, prompts):
        task = prompt.task

        def rank(counts: Counter[tuple[str, str]], candidates: Sequence[Voice]) -> list[Voice]:
            total = {v.name: sum(counts[v.name, t] for t in CLIP_SECONDS) for v in candidates}
            return sorted(
                _shuffled(rng, candidates),
                key=lambda v: (counts[v.name, task], total[v.name]),  # noqa: B023
            )

        chosen = rank(used, voices)[:CLIPS_PER_TEXT]
        n_right = CLIPS_PER_TEXT // 2 + _shuffled(rng, (0, 1))[0]
        ordered = rank(lead, chosen)
        wrongs = _shuffled(rng, prompt.wrongs)
        for i, voice in enumerate(ordered):
            match = i < n_right
            used[voice.name, task] += 1
            lead[voice.name, task] += 1 if match else -1
            wrong = wrongs[i % len(wrongs)]
            spoken, error = (prompt.spoken, "") if match else (wrong.spoken, wrong.error)
            drawn.append((prompt, match, spoken, error, voice, _acoustics(rng, task)))
    width = max(4, len(str(len(drawn))))
    plan = [Clip(str(i).zfill(width), *rest) for i, rest in enumerate(_shuffled(rng, drawn), 1)]
    return _with_disrupted(plan)


def _with_disrupted(plan: list[Clip]) -> list[Clip]:
    """Replace one wrong answer to each text of `DISRUPTED`, and nothing else of the clip.

    The voices take turns within a task, and the commonest error of the task gives way.
    """
    turns: Counter[object] = Counter()
    common = Counter((clip.prompt.task, clip.error) for clip in plan)
    replaced = {}
    for text, wrong in DISRUPTED.items():
        clips = [clip for clip in plan if clip.prompt.text == text and not clip.match]

        def rank(clip: Clip) -> tuple[int, int, int]:
            task, name = clip.prompt.task, clip.voice.name
            return turns[name, task], turns[name], -common[task, clip.error]

        chosen = min(clips, key=rank)
        task, name = chosen.prompt.task, chosen.voice.name
        turns.update(((name, task), name))
        common[task, chosen.error] -= 1
        replaced[chosen.id] = replace(chosen, spoken=wrong.spoken, error=wrong.error)
    return [replaced.get(clip.id, clip) for clip in plan]


FIELDS = (
    "id",
    "audio",
    "expected_text",
    "match",
    "task",
    "grade",
    "voice",
    "spoken",
    "error",
    "synthesiser",
    "question",
)


def manifest_row(clip: Clip) -> dict[str, str]:
    """Return the clip's row of the manifest."""
    prompt = clip.prompt
    values = (
        clip.id,
        f"clips/{clip.id}.ogg",
        prompt.text,
        str(int(clip.match)),
        prompt.task,
        prompt.grade,
        clip.voice.name,
        clip.spoken,
        clip.error,
        clip.voice.engine,
        prompt.question,
    )
    return dict(zip(FIELDS, values, strict=True))
