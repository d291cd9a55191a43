"""The page's colours around zero, for pictures made in Python; twin of js/draw/colour.ts.

Stops are in OKLCH; between them the way is straight in OKLab.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from patchwidget.widget.pixels import Ink, Pixels

STEPS = 255
RED, BLUE, PURPLE = 28.0, 254.0, 315.0
# On a light page; lightness and chroma.
ZERO, HALF, END = (0.965, 0.003), (0.7, 0.125), (0.36, 0.125)
INK: Ink = (31, 35, 40)
PAPER: Ink = (255, 255, 255)
HATCH: Ink = (154, 161, 168)

# From OKLab to the cube roots of cone responses, and from their cubes to linear sRGB:
# the published transform (Ottosson 2020, "A perceptual color space for image processing").
_TO_CONES = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.291485548],
    ]
)
_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.707614701],
    ]
)


@cache
def colour_map(below: float, above: float) -> Pixels:
    """Colours from -1 to 1 in even steps `[2 STEPS + 1, 3]`, hues in degrees."""
    arms = [_arm(below)[:0:-1], _arm(above)]
    return np.concatenate(arms)


def coloured(values: NDArray[np.float32], scale: float, *, signed: bool) -> Pixels:
    """Values `[..., n]` as RGB `[..., n, 3]`; NaN, where nothing is known, as paper."""
    share = np.nan_to_num(values / scale if scale > 0 else values * 0)
    # Halves go up, as in JavaScript.
    steps = np.floor(np.clip(share, -1, 1) * STEPS + 0.5).astype(int) + STEPS
    colours = colour_map(RED, BLUE) if signed else colour_map(PURPLE, PURPLE)
    pixels: Pixels = colours[steps]
    pixels[np.isnan(values)] = PAPER
    return pixels


def _arm(hue: float) -> Pixels:
    """From zero to the end `[STEPS + 1, 3]`."""
    stops = np.array([_lab(*ZERO, BLUE), _lab(*HALF, hue), _lab(*END, hue)])
    at = np.linspace(0, 2, STEPS + 1)
    lab = np.stack([np.interp(at, range(3), column) for column in stops.T], axis=-1)
    linear = np.clip((lab @ _TO_CONES.T) ** 3 @ _TO_LINEAR.T, 0, 1)
    curved = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    found: Pixels = np.floor(curved * 255 + 0.5).astype(np.uint8)
    return found


def _lab(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    angle = np.deg2rad(hue)
    return lightness, float(chroma * np.cos(angle)), float(chroma * np.sin(angle))
