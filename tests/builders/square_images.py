"""Images with a faint square and its mask, as one NPZ file."""

from io import BytesIO

import numpy as np

_TRAINING, _TEST = 30, 40


def square_images(seed: int = 0, empty_training_masks: bool = False) -> bytes:
    """Returns the bytes of an NPZ file of images [16, 16]: 30 patients for training and 40 for tests.

    Args:
        seed: names the training patients and makes their images; the test patients are the same for every seed.
        empty_training_masks: whether the masks of the training patients are empty.
    """
    parts = [_images(_TRAINING, seed + 1), _images(_TEST, 0)]
    images, masks = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if empty_training_masks:
        masks[:_TRAINING] = 0
    groups = [f"learning-{seed}-{row}" for row in range(_TRAINING)] + [f"tested-{row}" for row in range(_TEST)]
    file = BytesIO()
    np.savez(
        file,
        images=images,
        masks=masks,
        split=np.array(["train"] * _TRAINING + ["test"] * _TEST),
        groups=np.array(groups),
    )
    return file.getvalue()


def _images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    masks = np.zeros((count, 16, 16), np.uint8)
    for mask, (top, left) in zip(masks, generator.integers(1, 9, (count, 2)), strict=True):
        mask[top : top + 6, left : left + 6] = 1
    noise = generator.integers(0, 60, (count, 16, 16), dtype=np.uint8)
    return noise + 100 * masks, masks
