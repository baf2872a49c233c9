"""The cosines that all contrastive terms read: one product of matrices for each network and batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = -1e30
"""Logit of what does not compete. It is finite: infinity times a weight of 0 would be NaN, forwards and backwards."""


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines of a batch.

    Attributes:
        samples: [n, n] of the embeddings with each other.
        prototypes: [n, K] of the embeddings with all prototypes, also those of classes that were not seen yet, so that
            shapes never change.
    """

    samples: Tensor
    prototypes: Tensor

    @classmethod
    def of(cls, embeddings: Tensor, prototypes: Tensor) -> "Cosines":
        """Returns the cosines of unit-length embeddings [n, d] and prototypes [K, d], in float32 or more.

        At a temperature of 0.01, rounding to bfloat16 would change the logarithm of a probability by 0.6.
        """
        embeddings = embeddings if embeddings.dtype is torch.float64 else embeddings.float()
        with torch.autocast(embeddings.device.type, enabled=False):
            all_cosines = embeddings @ torch.cat([embeddings, prototypes.to(embeddings)]).T
        return cls(all_cosines[:, : len(embeddings)], all_cosines[:, len(embeddings) :])

    @property
    def is_other(self) -> Tensor:
        """[n, n], whether two samples differ."""
        return ~torch.eye(len(self.samples), dtype=torch.bool, device=self.samples.device)
