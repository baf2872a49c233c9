"""The base of classification methods: a growing head, cross-entropy over chosen columns, masked predictions."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import Batch, Branch, Data, Method, Prediction, PredictionRequest, TaskContext
from anamnesis.methods.stage import ParameterGroup, Stage, TrainingStep
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings


class SoftmaxScope(StrEnum):
    """Which classes compete in the training's softmax."""

    SEEN = "seen"
    """All seen so far; lowers the logits of old classes, because only new classes are shown."""
    TASK = "task"
    """Those of the current task; rows of other tasks get no gradient."""


Options = TypeVar("Options")


class ClassificationMethod(Method[Options], Generic[Options]):
    """Trains the whole classifier in one stage; subclasses add their terms to ``loss``."""

    network: Classifier

    def softmax_scope(self) -> SoftmaxScope:
        """Returns which classes compete in the training's softmax."""
        return SoftmaxScope.SEEN

    def build(self, spec: NetworkSettings, seed: int) -> Classifier:
        """Returns backbone, pooling and an empty head."""
        self._class_indices: tuple[int, ...] = ()
        return Classifier(spec, seed)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head; one stage over all parameters that are not frozen.

        Where the site returns, the rows that it alone taught start again: its labels may have been corrected, and a
        head that is certain of the earlier ones would learn the correction slowly. The features stay.
        """
        self.network.head.grow(len(context.labels), context.streams.generator("head"))
        is_head_free = not context.other_sites or self.softmax_scope() is SoftmaxScope.TASK
        if context.is_returning and is_head_free:  # else other sites' answers depend on these rows too
            rows = [column for column in context.class_indices if column not in context.other_columns]
            self.network.head.restart(rows, context.streams.generator("head"))
        self._class_indices = context.class_indices
        group = ParameterGroup(self.network.learnable_parameters())
        return [Stage("train", (group,), train_modules=(self.network,))]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the cross-entropy over the columns that compete."""
        return {"classification": self.cross_entropy(self.network(batch.images), batch.classes)}

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean cross-entropy of logits [N, K] against columns [N]."""
        class_indices = () if self.softmax_scope() is SoftmaxScope.SEEN else self._class_indices
        return functional.cross_entropy(restrict_logits(logits, class_indices), targets)

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        """Returns logits over the columns that compete and, if requested, the pooled features."""
        self.network.eval()
        logits = self.compute_logits(images, request)
        embedding = self.network.backbone.pool(self.network.features(images)) if request.with_embedding else None
        return Prediction(restrict_logits(logits, request.class_indices), embedding=embedding)

    def compute_logits(self, images: Tensor, request: PredictionRequest) -> Tensor:
        """Returns the logits [N, K] of all columns, in evaluation mode, without gradients."""
        return self.answer_from([branch.features for branch in self.explained_features(images)])

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the network's feature maps."""
        return (Branch("network", self.network.features(images), learns=True),)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the head's logits [N, K]."""
        return self.network.classify(features[0])

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the rows of the head that no other site taught; subclasses remove the rest of their state."""
        self.network.head.keep(kept_columns)

    def import_head(self, weight: Tensor, bias: Tensor, site: str) -> None:
        """Takes over the rows of the head."""
        self.resize_head(len(weight))
        self.network.load_head(weight, bias)

    def resize_head(self, class_count: int) -> None:
        """Grows the head to ``class_count`` rows; their values are loaded next."""
        self.network.head.grow(class_count, torch.Generator().manual_seed(0))


def restrict_logits(logits: Tensor, class_indices: tuple[int, ...]) -> Tensor:
    """Returns logits [N, K] with minus infinity outside ``class_indices``; unchanged where that is empty."""
    if not class_indices:
        return logits
    is_allowed = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    is_allowed[list(class_indices)] = True
    return logits.masked_fill(~is_allowed, -torch.inf)
