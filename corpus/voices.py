"""The simulated speakers: a synthesiser's voice moved towards a child's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """A simulated speaker.

    `pitch` is the median fundamental frequency aimed at, in Hz, or 0 where the speech is resampled;
    `formants` is the factor by which the spectral envelope is stretched, or that of the resampling;
    `pace` the factor on the speaking rate.
    """

    name: str
    engine: str
    source: str
    pitch: float
    formants: float
    pace: float


VOICES: tuple[Voice, ...] = (
    Voice("ada", "svox-pico", "en-US 120 85", 0.0, 1.08, 1.00),
    Voice("ben", "espeak-ng", "en-us+m3", 235.0, 1.12, 0.95),
    Voice("cleo", "svox-pico", "en-GB 122 76", 0.0, 1.05, 1.00),
    Voice("dov", "tiny-tts", "0", 215.0, 1.08, 0.95),
    Voice("eli", "tiny-tts", "0", 240.0, 1.14, 1.00),
    Voice("gus", "flite", "rms", 235.0, 1.20, 0.95),
    Voice("hana", "festival", "voice_cmu_us_slt_arctic_hts", 240.0, 1.08, 0.95),
    Voice("ivo", "festival", "voice_kal_diphone", 240.0, 1.15, 0.95),
    Voice("juno", "flite", "slt", 0.0, 1.12, 1.00),
    Voice("kit", "espeak-ng", "en-us+f2", 250.0, 1.08, 0.95),
    Voice("lena", "espeak-ng", "en-gb+f4", 265.0, 1.10, 0.95),
)
