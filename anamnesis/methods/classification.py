"""What classification methods share: a growing head, cross-entropy over chosen columns, masked predictions."""

from enum import StrEnum
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import (
    Batch,
    Data,
    Method,
    ParameterGroup,
    Prediction,
    PredictRequest,
    Stage,
    Step,
    TaskContext,
)
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSpec


class Competing(StrEnum):
    """Which classes compete in the training's softmax."""

    SEEN = "seen"
    """All seen so far; pushes old classes down while only new ones are shown."""
    TASK = "task"
    """Those of the task at hand; rows of other tasks get no gradient."""


Options = TypeVar("Options")


class ClassificationMethod(Method[Options], Generic[Options]):
    """Trains the whole classifier in one stage; subclasses add their terms to ``loss``."""

    network: Classifier

    def competing(self) -> Competing:
        """Which classes compete in the training's softmax."""
        return Competing.SEEN

    def build(self, spec: NetworkSpec, seed: int) -> Classifier:
        """Returns backbone, pooling and an empty head."""
        self._columns: tuple[int, ...] = ()
        return Classifier(spec, seed)

    def begin(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head; one stage over all parameters."""
        self.network.head.grow(len(context.labels), context.streams.generator("head"))
        self._columns = context.columns
        everything = ParameterGroup(tuple(self.network.parameters()))
        return [Stage("train", (everything,), train=(self.network,))]

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Cross-entropy over the columns that compete."""
        return {"classification": self.cross_entropy(self.network(batch.images), batch.targets)}

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of logits [N, K] against columns [N]."""
        columns = () if self.competing() is Competing.SEEN else self._columns
        return functional.cross_entropy(only(logits, columns), targets)

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictRequest) -> Prediction:
        """Logits over the columns that compete, and the pooled features where asked."""
        self.network.eval()
        maps = self.network.features(images)
        embedding = maps.float().mean(dim=(2, 3)) if request.embedding else None
        return Prediction(only(self.network.classify(maps), request.columns), embedding=embedding)

    def prepare(self, labels: int) -> None:
        """Grows the head to ``labels`` rows; their values are loaded next."""
        self.network.head.grow(labels, torch.Generator().manual_seed(0))


def only(logits: Tensor, columns: tuple[int, ...]) -> Tensor:
    """Returns logits [N, K] with minus infinity outside ``columns``; no columns leaves them as they are."""
    if not columns:
        return logits
    keep = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    keep[list(columns)] = True
    return logits.masked_fill(~keep, -torch.inf)
