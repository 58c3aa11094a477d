"""An explanation as a picture: the waveform with the words under it, coloured by probability."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.colours import STOPS, colour_of, ink_on
from audiomatch.text import text_key

WIDTH, EDGE = 860.0, 24.0
WAVE_TOP, WAVE_HEIGHT = 84.0, 120.0
BAND_TOP, BAND_HEIGHT = WAVE_TOP + WAVE_HEIGHT + 26, 12.0
LABEL_TOP = BAND_TOP + BAND_HEIGHT + 22
LETTER, GAP = 8.4, 10.0  # width of a letter of the labels; least room between two
MOST_HEARD = 22  # letters of what was heard in a word's place
STYLE = """
  .back { fill: #ffffff } .ink { fill: #1b1b1b } .soft { fill: #5f6368 }
  .line { stroke: #9aa0a6; fill: none } .wave { fill: #5f6368 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #16181c } .ink { fill: #f1f3f4 } .soft { fill: #aab0b6 }
    .line { stroke: #70757a } .wave { fill: #aab0b6 }
  }
  text { font-family: system-ui, sans-serif; font-size: 13px }
  .word { font-family: ui-monospace, monospace; font-size: 14px }
  .title { font-size: 16px; font-weight: 600 } .small { font-size: 11px }
"""


def draw_explanation(one: Explanation, audio: NDArray[np.float32]) -> str:
    """Return an SVG of the clip `audio` (16 kHz, shape (samples,)) and what `one` says of it."""
    seconds = len(audio) / SAMPLE_RATE
    labels = [max(len(w.word), 4, 0.8 * len(_heard(w))) * LETTER + 8 for w in one.words]
    width = max(WIDTH, 2 * EDGE + sum(labels) + GAP * (len(labels) - 1))
    scale = (width - 2 * EDGE) / seconds
    spans = [(EDGE + w.start * scale, EDGE + w.end * scale) for w in one.words]
    centres = spread([(a + b) / 2 for a, b in spans], labels, EDGE, width - EDGE)
    height = LABEL_TOP + 118
    words = zip(one.words, spans, centres, strict=True)
    parts = [
        f'<rect class="back" width="{width:.0f}" height="{height:.0f}"/>',
        *_head(one, width),
        _wave(audio, width),
        *_axis(seconds, scale),
        *(line for i, word in enumerate(words) for line in _word(*word, i == one.worst)),
        *_legend(height),
    ]
    title = f"{one.text}: P(match) {one.p_match:.3f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">\n'
        f"<title>{_safe(title)}</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def spread(
    wanted: Sequence[float], widths: Sequence[float], left: float, right: float
) -> list[float]:
    """Move the centres of labels apart until none overlap, between `left` and `right`, in order."""
    out: list[float] = []
    edge = left - GAP
    for centre, width in zip(wanted, widths, strict=True):
        out.append(max(centre, edge + GAP + width / 2))
        edge = out[-1] + width / 2
    edge = right + GAP
    for i in range(len(out) - 1, -1, -1):
        out[i] = min(out[i], edge - GAP - widths[i] / 2)
        edge = out[i] - widths[i] / 2
    return out


def _safe(text: str) -> str:
    """Escape for XML, which holds no control characters."""
    return escape("".join(c if c.isprintable() else "\ufffd" for c in text))


def _text(x: float, y: float, text: str, kind: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{_safe(text)}</text>'


MIDDLE = ' text-anchor="middle"'


def _head(one: Explanation, width: float) -> list[str]:
    most = int((width - 2 * EDGE) / LETTER)
    return [
        _text(EDGE, 30, _cut(one.text, most), "ink title"),
        _text(EDGE, 50, _cut(f"heard: {one.heard or '(nothing)'}", most), "soft"),
        _text(EDGE, 68, f"{one.id} · P(match) {one.p_match:.3f}", "soft"),
    ]


def _wave(audio: NDArray[np.float32], width: float) -> str:
    """Draw the least and greatest sample of each column of pixels, by the clip's own peak."""
    columns = min(int(width - 2 * EDGE), len(audio))
    starts = np.arange(columns) * len(audio) // columns
    peak = max(float(np.abs(audio).max()), 1e-4)
    high = np.maximum.reduceat(audio, starts) / peak
    low = np.minimum.reduceat(audio, starts) / peak
    x = EDGE + (np.arange(columns) + 0.5) * (width - 2 * EDGE) / columns
    middle, half = WAVE_TOP + WAVE_HEIGHT / 2, WAVE_HEIGHT / 2
    # The least height, so that silence is a visible line.
    upper = [f"{a:.1f},{middle - half * b - 0.5:.1f}" for a, b in zip(x, high, strict=True)]
    lower = [f"{a:.1f},{middle - half * b + 0.5:.1f}" for a, b in zip(x, low, strict=True)]
    return f'<path class="wave" d="M{" L".join([*upper, *lower[::-1]])} Z"/>'


def _axis(seconds: float, scale: float) -> list[str]:
    y = WAVE_TOP + WAVE_HEIGHT
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2) if s * scale >= 56), 5)
    marks = []
    for i in range(int(seconds / step + 1e-6) + 1):
        x = EDGE + i * step * scale
        marks.append(f'<path class="line" d="M{x:.1f},{y:.1f} v5"/>')
        marks.append(_text(x, y + 17, f"{i * step:g} s", "soft small", MIDDLE))
    end = EDGE + seconds * scale
    return [f'<path class="line" d="M{EDGE:.1f},{y:.1f} H{end:.1f}"/>', *marks]


def _heard(word: WordEvidence) -> str:
    if word.outcome == "nothing":
        return "not heard"
    if text_key(word.heard) == text_key(word.word):
        return ""
    return f"heard: {_cut(word.heard, MOST_HEARD) or '–'}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _word(word: WordEvidence, span: tuple[float, float], centre: float, worst: bool) -> list[str]:
    colour = colour_of(word.probability)
    left, right = span
    wide = max(right - left, 2.0)
    y = LABEL_TOP
    box = max(len(word.word), 4) * LETTER + 8
    outline = ' stroke="#d55e00" stroke-width="2.5"' if worst else ""
    lines = [
        f"<g><title>{_safe(f'{word.word}: {word.start:.2f} to {word.end:.2f} s')}</title>",
        f'<rect x="{left:.1f}" y="{WAVE_TOP}" width="{wide:.1f}" height="{WAVE_HEIGHT}" '
        f'fill="{colour}" opacity="0.3"/>',
        f'<rect x="{left + 0.5:.1f}" y="{BAND_TOP}" width="{max(wide - 1, 1):.1f}" '
        f'height="{BAND_HEIGHT}" fill="{colour}"/>',
        f'<path class="line" d="M{(left + right) / 2:.1f},{BAND_TOP + BAND_HEIGHT} '
        f'L{centre:.1f},{y - 4:.1f}"/>',
        f'<rect x="{centre - box / 2:.1f}" y="{y - 4:.1f}" width="{box:.1f}" height="24" rx="4" '
        f'fill="{colour}"{outline}/>',
        _text(centre, y + 13, word.word, "word", f'{MIDDLE} fill="{ink_on(colour)}"'),
        _text(centre, y + 36, f"{word.probability:.2f}", "ink", MIDDLE),
        _text(centre, y + 52, _heard(word), "soft small", MIDDLE) if _heard(word) else "",
        _text(centre, y + 68, "▲ worst", "ink small", MIDDLE) if worst else "",
        "</g>",
    ]
    return [line for line in lines if line]


def _legend(height: float) -> list[str]:
    y = height - 20
    stops = "".join(
        f'<stop offset="{at:g}" stop-color="#{r:02x}{g:02x}{b:02x}"/>' for at, (r, g, b) in STOPS
    )
    return [
        f'<defs><linearGradient id="scale">{stops}</linearGradient></defs>',
        _text(EDGE, y + 4, "not said  0", "soft small"),
        f'<rect x="{EDGE + 64:.1f}" y="{y - 6:.1f}" width="160" height="12" fill="url(#scale)"/>',
        _text(EDGE + 232, y + 4, "1  said: the probability of each word", "soft small"),
    ]
