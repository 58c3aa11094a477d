"""A colour for a probability that colour-blind readers can tell too."""

from __future__ import annotations

# Vermilion to blue, both of Okabe and Ito (2008), by way of a pale yellow: they differ in lightness
# from the middle and in hue along the axis that the common colour blindnesses keep.
STOPS = ((0.0, (213, 94, 0)), (0.5, (244, 228, 165)), (1.0, (0, 114, 178)))


def colour_of(probability: float) -> str:
    """Return `#rrggbb`: vermilion at 0, pale at 0.5, blue at 1."""
    p = min(max(probability, 0.0), 1.0)
    (low, first), (high, second) = STOPS[:2] if p <= 0.5 else STOPS[1:]
    share = (p - low) / (high - low)
    return "#" + "".join(
        f"{round(a + share * (b - a)):02x}" for a, b in zip(first, second, strict=True)
    )


def ink_on(colour: str) -> str:
    """Return black or white, whichever reads better on `colour` (WCAG 2 contrast)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
