"""Features that no training changes, kept from one update or evaluation to the next: what a method asks of the cache.

A method passes its images through the cache that it gets, and knows no file. ``training.split_arrays.stored_features``
has the cache of the scratch folder.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class FeatureCache(Protocol):
    """Features of images, computed once."""

    def __call__(self, space: str, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Returns the features [N, D] of images [N, C, *sides], bit for bit what ``compute`` returns for all of them.

        Args:
            space: digest of everything besides the image that the features depend on.
            images: in [0, 1].
            compute: images [M, C, *sides] to float32 features [M, D]. On a processor, the bits of an image's features
                depend on no other image of the M, because only those that are missing are computed.
        """
