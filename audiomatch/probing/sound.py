"""Probes that change what is heard, as recordings differ that say the same, or something else."""

from __future__ import annotations

from functools import partial

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal

from audiomatch.audio import SAMPLE_RATE
from audiomatch.probing.answers import Answer

Array = NDArray[np.float64]
Rng = np.random.Generator

PAUSE = int(0.3 * SAMPLE_RATE)  # between two answers
SILENCE = 8 * SAMPLE_RATE
FADE = SAMPLE_RATE // 100  # at a cut, so that it does not click
_HALF, _REACH = 256, 160  # samples: half a frame of the change of pace, and how far it looks


def as_recorded(answer: Answer, _rng: Rng) -> Answer:
    """Leave it as it is."""
    return answer


def softer(answer: Answer, _rng: Rng) -> Answer:
    """Turn it down by 30 dB."""
    return answer.sounding(answer.samples * 10 ** (-30 / 20))


def clipped(answer: Answer, _rng: Rng) -> Answer:
    """Turn it up to 12 dB over full scale, and cut off what is over."""
    return answer.sounding(answer.samples * (4 / max(float(np.abs(answer.samples).max()), 1e-9)))


def dc(answer: Answer, _rng: Rng) -> Answer:
    """Add an offset of a tenth of full scale."""
    return answer.sounding(answer.samples + 0.1)


def hum(answer: Answer, rng: Rng) -> Answer:
    """Add 50 Hz and its harmonics, 10 dB under the speech."""
    time = np.arange(len(answer.samples)) / SAMPLE_RATE
    phases = rng.uniform(0, 2 * np.pi, 5)
    tones = [np.sin(2 * np.pi * 50 * (k + 1) * time + p) / (k + 1) for k, p in enumerate(phases)]
    return _mixed(answer, np.sum(tones, axis=0), 10)


def telephone(answer: Answer, _rng: Rng) -> Answer:
    """Keep 300 to 3,400 Hz, in the 8 bits of the mu law (ITU-T G.711)."""
    band = signal.butter(4, (300, 3_400), "bandpass", fs=SAMPLE_RATE, output="sos")
    x = np.clip(signal.sosfiltfilt(band, answer.samples, padlen=0), -1, 1)
    coded = np.round(127 * np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)) / 127
    return answer.sounding(np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255)


def low_rate(answer: Answer, _rng: Rng) -> Answer:
    """Take it through a sample rate of 8 kHz."""
    low = soxr.resample(answer.samples, SAMPLE_RATE, SAMPLE_RATE // 2)
    return answer.sounding(soxr.resample(low, SAMPLE_RATE // 2, SAMPLE_RATE))


def at_pace(answer: Answer, _rng: Rng, pace: float) -> Answer:
    """Change the pace, not the pitch: WSOLA (Verhelst and Roelands, 1993)."""
    count = max(int(len(answer.samples) / pace) // _HALF, 1)
    padded = np.pad(answer.samples.astype(np.float64), (_HALF + _REACH, 4 * _HALF + _REACH))
    window = np.hanning(2 * _HALF + 1)[:-1]
    out = np.zeros((count + 2) * _HALF)
    natural = padded[_REACH : _REACH + 2 * _HALF]  # what would go on best
    for i in range(count + 1):
        at = int(i * _HALF * pace)
        around = padded[at : at + 2 * _HALF + 2 * _REACH]
        at += int(np.argmax(np.correlate(around, natural)))
        out[i * _HALF : (i + 2) * _HALF] += window * padded[at : at + 2 * _HALF]
        natural = padded[at + _HALF : at + 3 * _HALF]
    return answer.sounding(out[_HALF:-_HALF])


faster = partial(at_pace, pace=1.15)
slower = partial(at_pace, pace=0.85)


def silence_before(answer: Answer, _rng: Rng) -> Answer:
    """Put 8 s of silence before it."""
    return answer.sounding(np.pad(answer.samples, (SILENCE, 0)))


def silence_after(answer: Answer, _rng: Rng) -> Answer:
    """Put 8 s of silence after it."""
    return answer.sounding(np.pad(answer.samples, (0, SILENCE)))


def noisy(answer: Answer, rng: Rng, decibels: float) -> Answer:
    """Add pink noise so many decibels under the speech."""
    return _mixed(answer, _pink(len(answer.samples), rng), decibels)


noise_20_db = partial(noisy, decibels=20)
noise_10_db = partial(noisy, decibels=10)
noise_5_db = partial(noisy, decibels=5)


def said_twice(answer: Answer, _rng: Rng) -> Answer:
    """Say it once more after a pause."""
    return answer.sounding(_after_pause(answer.samples, answer.samples))


def first_part(answer: Answer, _rng: Rng, share: float, fewest: int) -> Answer | None:
    """Break off the speech; the text has at least `fewest` words, so that one is not reached."""
    if len(answer.words) < fewest or answer.speech is None:
        return None
    start, end = answer.speech
    kept = answer.samples[: start + int(share * (end - start))].astype(np.float64)
    fade = min(FADE, len(kept))
    kept[len(kept) - fade :] *= np.linspace(1, 0, fade)
    return answer.sounding(kept)


first_three_quarters = partial(first_part, share=0.75, fewest=4)
first_half = partial(first_part, share=0.5, fewest=2)


def last_half(answer: Answer, _rng: Rng) -> Answer | None:
    """Begin in the middle of the speech, of a text of several words."""
    if len(answer.words) < 2 or answer.speech is None:
        return None
    start, end = answer.speech
    kept = answer.samples[(start + end) // 2 :].astype(np.float64)
    fade = min(FADE, len(kept))
    kept[:fade] *= np.linspace(0, 1, fade)
    return answer.sounding(kept)


def sentence_before(answer: Answer, rng: Rng) -> Answer | None:
    """Say another match's answer first."""
    other = _other(answer, rng)
    return None if other is None else answer.sounding(_after_pause(other, answer.samples))


def sentence_after(answer: Answer, rng: Rng) -> Answer | None:
    """Say another match's answer then."""
    other = _other(answer, rng)
    return None if other is None else answer.sounding(_after_pause(answer.samples, other))


def another_sentence(answer: Answer, rng: Rng) -> Answer | None:
    """Say another match's answer instead."""
    other = answer.others.draw(answer.text, rng)
    return None if other is None else answer.sounding(other.samples)


def silence(answer: Answer, _rng: Rng) -> Answer:
    """Say nothing for as long."""
    return answer.sounding(np.zeros(len(answer.samples)))


def noise(answer: Answer, rng: Rng) -> Answer:
    """Let pink noise be heard as long and as loud."""
    return answer.sounding(answer.level * _pink(len(answer.samples), rng))


def music(answer: Answer, rng: Rng) -> Answer:
    """Let chords be heard as long and as loud, two a second."""
    size = SAMPLE_RATE // 2
    time = np.arange(size) / SAMPLE_RATE
    envelope = np.minimum(time / 0.02, 1) * np.exp(-2 * time)
    played = []
    for _ in range(-(-len(answer.samples) // size)):
        root = 48 + int(rng.integers(12))
        notes = 440 * 2 ** ((root + np.array([0, 3 + int(rng.integers(2)), 7, 12]) - 69) / 12)
        harmonics = notes[:, None] * np.arange(1, 6)  # (notes, harmonics)
        waves = np.sin(2 * np.pi * harmonics[..., None] * time) / np.arange(1, 6)[:, None] ** 1.5
        played.append(envelope * waves.sum(axis=(0, 1)))
    chords = np.concatenate(played)[: len(answer.samples)]
    return answer.sounding(answer.level * _unit(chords))


def _other(answer: Answer, rng: Rng) -> Array | None:
    """Return another match's answer, as loud as this one."""
    other = answer.others.draw(answer.text, rng)
    if other is None:
        return None
    return np.asarray(other.samples * (answer.level / max(other.level, 1e-9)), np.float64)


def _after_pause(first: NDArray[np.floating], then: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.concatenate([first, np.zeros(PAUSE), then])


def _mixed(answer: Answer, other: Array, decibels: float) -> Answer:
    """Add another sound so many decibels under the speech; no louder than full scale together."""
    both = answer.samples + answer.level * 10 ** (-decibels / 20) * _unit(other)
    return answer.sounding(both / max(float(np.abs(both).max()), 1.0))


def _pink(n: int, rng: Rng) -> Array:
    """Return noise whose power falls with frequency, as that of rooms does, of RMS 1."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    hertz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    return _unit(np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 50)), n))


def _unit(samples: Array) -> Array:
    return np.asarray(samples / max(float(np.sqrt(np.mean(samples**2))), 1e-9), np.float64)
