"""Colours of the heat maps: one scale for all, with readable text on every shade."""

from collections.abc import Sequence

STOPS = ("#fbf1e3", "#dbe7df", "#9cc8c0", "#4a959b", "#1d5f73")
"""From 0 to 1: pale sand to deep teal."""

INK, PAPER = "#000000", "#ffffff"
"""The better one of the two has a contrast of at least 4.58 to any colour."""


def shade(value: float) -> tuple[str, str]:
    """Returns background and text colour for a score; a score outside 0..1 gets the colour of the nearest end."""
    position = min(max(value, 0.0), 1.0) * (len(STOPS) - 1)
    index = min(int(position), len(STOPS) - 2)
    pairs = zip(_rgb(STOPS[index]), _rgb(STOPS[index + 1]), strict=True)
    background = "#" + "".join(f"{round(a + (b - a) * (position - index)):02x}" for a, b in pairs)
    return background, max((INK, PAPER), key=lambda text: contrast(text, background))


def contrast(first: str, second: str) -> float:
    """Returns the contrast ratio of two colours, 1 to 21. Source: WCAG 2.2, "contrast ratio"."""
    darker, lighter = sorted(_luminance(_rgb(colour)) for colour in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(rgb: Sequence[int]) -> float:
    parts = (part / 255 for part in rgb)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
