"""The simulated speakers: a synthesiser's voice moved towards a child's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """A simulated speaker.

    `pitch` is the median fundamental frequency aimed at, in Hz; `formants` the factor by which
    the spectral envelope is stretched; `pace` the factor on the speaking rate.
    """

    name: str
    engine: str
    source: str
    pitch: float
    formants: float
    pace: float


VOICES: tuple[Voice, ...] = (
    Voice("ada", "svox-pico", "en-US", 265.0, 1.12, 0.95),
    Voice("ben", "svox-pico", "en-US", 240.0, 1.06, 1.00),
    Voice("cleo", "svox-pico", "en-GB", 275.0, 1.14, 0.95),
    Voice("dov", "tiny-tts", "0", 230.0, 1.18, 0.92),
    Voice("eli", "tiny-tts", "0", 260.0, 1.24, 0.98),
    Voice("fern", "flite", "slt", 260.0, 1.14, 0.92),
    Voice("gus", "flite", "rms", 235.0, 1.20, 0.95),
    Voice("hana", "festival", "voice_cmu_us_slt_arctic_hts", 285.0, 1.18, 0.95),
    Voice("ivo", "festival", "voice_kal_diphone", 240.0, 1.18, 0.95),
    Voice("juno", "festival", "voice_ked_diphone", 250.0, 1.18, 0.95),
    Voice("kit", "espeak-ng", "en-us+f2", 250.0, 1.10, 0.95),
    Voice("lena", "espeak-ng", "en-gb+f4", 270.0, 1.10, 0.95),
    Voice("milo", "flite", "awb", 240.0, 1.18, 0.92),
)
