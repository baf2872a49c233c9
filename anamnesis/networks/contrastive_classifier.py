"""A classifier with a projector to unit-length embeddings, and fixed class prototypes among them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.class_prototypes import ClassPrototypes
from anamnesis.networks.classifier import Classifier
from anamnesis.records import NetworkSettings

_SHORTEST_EMBEDDING = 1e-6
"""Shorter ones are not stretched to unit length: their gradient would be too large."""


class ContrastiveClassifier(Classifier):
    """Backbone, growing head, projector and class prototypes; its logits are the classifier's bit for bit."""

    def __init__(self, spec: NetworkSettings, seed: int, *, dimension: int, hidden: int = 0, vertices: int = 0) -> None:
        """Makes a network without classes.

        Args:
            spec: of the backbone.
            seed: of all weights and of the prototypes.
            dimension: d, of the embeddings.
            hidden: width of the projector's hidden layer; 0 takes that of the features.
            vertices: number of class prototypes; 0 takes the largest, d + 1.

        Raises:
            InputError: so many prototypes do not exist in this dimension.
        """
        super().__init__(spec, seed)
        width = self.backbone.width_out
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projector = nn.Sequential(
                nn.Linear(width, hidden or width), nn.ReLU(), nn.Linear(hidden or width, dimension)
            )
        self.prototypes = ClassPrototypes(vertices or dimension + 1, dimension, seed)

    def project(self, embedding: Tensor) -> Tensor:
        """Maps pooled features [N, F] to embeddings [N, d] of unit length, always in float32."""
        with torch.autocast(embedding.device.type, enabled=False):
            return functional.normalize(self.projector(embedding.float()), dim=1, eps=_SHORTEST_EMBEDDING)

    def prototype_cosines(self, embedding: Tensor) -> Tensor:
        """Maps pooled features [N, F] to the cosines [N, K] of their embeddings with the prototype of each class."""
        prototypes = self.prototypes.frame[self.prototypes.vertex_of_class]
        with torch.autocast(embedding.device.type, enabled=False):
            return self.project(embedding) @ prototypes.T
