"""The picture of maps over one image."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from anamnesis.evaluation.saliency_overlay import GAP, draw_maps

FACE = np.linspace(-3, 7, 32 * 24).reshape(32, 24)


def spot(row: int, column: int) -> np.ndarray:
    saliency = np.zeros((4, 3))
    saliency[row, column] = 5.0
    return saliency


def panels(png: bytes, width: int) -> list[np.ndarray]:
    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)
    return [pixels[:, i * (width + GAP) :][:, :width] for i in range(3)]


@pytest.mark.parametrize("image", [FACE, np.repeat(FACE[..., None], 3, 2).astype(np.uint8)])
def test_panels_keep_the_images_proportions(image: np.ndarray) -> None:
    png = draw_maps(image, [spot(0, 0), spot(3, 2)], height=128)
    assert Image.open(BytesIO(png)).size == (3 * 96 + 2 * GAP, 128)


def test_heat_is_where_the_map_points() -> None:
    plain, before, after = panels(draw_maps(FACE, [spot(0, 0), spot(3, 2)], height=128), 96)
    changed = [np.abs(panel - plain).sum(-1) > 60 for panel in (before, after)]
    assert changed[0][:32, :32].mean() > 0.5 > changed[0][96:, 64:].mean()
    assert changed[1][96:, 64:].mean() > 0.5 > changed[1][:32, :32].mean()


def test_a_map_of_zero_leaves_the_image_as_it_is() -> None:
    plain, before, _ = panels(draw_maps(FACE, [np.zeros((4, 3)), spot(1, 1)]), 144)
    assert np.array_equal(plain, before)


def test_a_constant_image_and_map_are_drawn() -> None:
    assert draw_maps(np.zeros((8, 8)), [np.ones((2, 2))]).startswith(b"\x89PNG")


def test_equal_inputs_give_equal_bytes() -> None:
    assert draw_maps(FACE, [spot(1, 1), spot(2, 1)]) == draw_maps(FACE, [spot(1, 1), spot(2, 1)])
