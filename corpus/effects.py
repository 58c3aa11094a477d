"""Audio effects: an adult voice moved towards a child's; a room, noise and a level added."""

from __future__ import annotations

import numpy as np
import pyworld
import soxr
from scipy.signal import fftconvolve

from corpus.plan import Acoustics
from corpus.synth import RATE
from corpus.voices import Voice

FRAME_MS = 5.0


def trim(audio: np.ndarray, keep: float = 0.03) -> np.ndarray:
    """Cut the silence before and after the speech."""
    hop = RATE // 100
    frames = audio[: len(audio) // hop * hop].reshape(-1, hop)
    power = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(power > 0.02 * power.max())
    pad = int(keep * RATE)
    return audio[max(0, loud[0] * hop - pad) : (loud[-1] + 1) * hop + pad]


def cut_short(audio: np.ndarray, share: float) -> np.ndarray:
    """Keep the first `share` of the speech; its last tenth, at most 80 ms, fades to nothing.

    A hard cut would click, and the click would tell the label.
    """
    speech = trim(audio, keep=0.0)
    kept = speech[: int(share * len(speech))].copy()
    fade = min(len(kept) // 10, int(0.08 * RATE))
    kept[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return kept


def childlike(parts: list[np.ndarray], voice: Voice, acoustics: Acoustics) -> list[np.ndarray]:
    """Raise pitch and formants and slow the speech down, with the WORLD vocoder.

    Some synthesisers are vocoders already, and a second one blurs the speech of women's voices: a
    voice without a pitch to aim at is resampled, which raises pitch, formants and pace alike.
    """
    stretch = voice.formants * acoustics.formants
    if not voice.pitch:
        return [soxr.resample(part.astype(np.float64), RATE, RATE / stretch) for part in parts]
    analysed = []
    for part in parts:
        audio = part.astype(np.float64)
        f0, times = pyworld.harvest(audio, RATE, f0_floor=60.0, f0_ceil=500.0)
        envelope = pyworld.cheaptrick(audio, f0, times, RATE)
        aperiodicity = pyworld.d4c(audio, f0, times, RATE)
        analysed.append((f0, envelope, aperiodicity))
    voiced = np.concatenate([f0[f0 > 0] for f0, _, _ in analysed])
    # Parts share one factor, so that each keeps its own intonation.
    ratio = voice.pitch * acoustics.pitch / np.median(voiced) if len(voiced) else 1.0
    ratio = min(ratio, 2.4)
    said = []
    for f0, envelope, aperiodicity in analysed:
        bins = np.arange(envelope.shape[1])
        position = bins / stretch
        low = position.astype(int)
        share = position - low
        high = np.minimum(low + 1, bins[-1])
        log = np.log(envelope)
        warped = np.exp(log[:, low] * (1 - share) + log[:, high] * share)
        rough = aperiodicity[:, low] * (1 - share) + aperiodicity[:, high] * share
        period = FRAME_MS / (voice.pace * acoustics.pace)
        warped, rough = np.ascontiguousarray(warped), np.ascontiguousarray(rough)
        said.append(pyworld.synthesize(f0 * ratio, warped, rough, RATE, period))
    return said


def active_level(audio: np.ndarray) -> float:
    """Return the root mean square over the frames that carry speech."""
    hop = RATE // 100
    power = (audio[: len(audio) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
    return float(np.sqrt(power[power > 0.01 * power.max()].mean()))


def _room(audio: np.ndarray, acoustics: Acoustics, rng: np.random.Generator) -> np.ndarray:
    """Add a reverberant tail `room` dB below the direct sound."""
    times = np.arange(int(acoustics.reverberation * RATE)) / RATE
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / acoustics.reverberation)
    tail[: int(0.004 * RATE)] = 0.0
    tail *= 10 ** (-acoustics.room / 20) / np.sqrt((tail**2).sum())
    return audio + fftconvolve(audio, tail)[: len(audio)]


def _noise(length: int, colour: float, rng: np.random.Generator) -> np.ndarray:
    """Return unit noise whose power falls as 1 / f ** (2 * colour)."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    noise = np.fft.irfft(spectrum / np.maximum(frequency, 60.0) ** colour, length)
    return noise / np.sqrt((noise**2).mean())


def record(parts: list[np.ndarray], voice: Voice, acoustics: Acoustics) -> np.ndarray:
    """Make the recording: the parts with their pauses, in a room, with noise, at a level."""
    rng = np.random.default_rng(acoustics.seed)
    childish = childlike([trim(part) for part in parts], voice, acoustics)
    spoken = [part / active_level(part) for part in childish]
    pieces = [spoken[0]]
    for pause, part in zip(acoustics.pauses, spoken[1:], strict=False):
        pieces += [np.zeros(int(pause * RATE)), part]
    speech = np.concatenate(pieces)
    room_left = max(int(acoustics.seconds * RATE) - len(speech), int(0.4 * RATE))
    before = int(room_left * acoustics.lead)
    audio = np.concatenate([np.zeros(before), speech, np.zeros(room_left - before)])
    audio = _room(audio, acoustics, rng)
    noise = _noise(len(audio), acoustics.noise_colour, rng)
    audio = audio + noise * 10 ** (-acoustics.noise_ratio / 20)
    audio *= 10 ** (acoustics.level / 20)
    return (audio * min(1.0, 0.95 / np.abs(audio).max())).astype(np.float32)
