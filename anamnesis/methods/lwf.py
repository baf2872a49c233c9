"""Learning without forgetting: on the new site's images, the base version is the teacher of the new one.

Li and Hoiem, ECCV 2016 and TPAMI 2018 (arXiv 1606.09282): cross-entropy on the new classes plus distillation of the
old predictions (their equations 2 and 3), temperature 2, weight 1. Reconstructed for one growing head: the old classes
are distilled as one softmax, not one per old task, and the new rows have no separate warm-up. Classes that only the
site's own past taught are not distilled: its current labels may correct them.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import Batch, Data, TaskContext
from anamnesis.methods.classification import ClassificationMethod, SoftmaxScope
from anamnesis.methods.register import register
from anamnesis.methods.stage import Stage, TrainingStep
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings
from anamnesis.records.option_checks import check_bounds, not_negative, positive


@dataclass(frozen=True, slots=True)
class LWFOptions:
    """Options of ``lwf``.

    Attributes:
        weight: lambda_o, the weight of the distillation; 0 is fine-tuning.
        temperature: T, softens both predictions.
        competing: which classes compete in the softmax of the new labels: ``task`` (as in the paper) or ``seen``.
    """

    weight: float = not_negative(1.0)
    temperature: float = positive(2.0)
    competing: SoftmaxScope = SoftmaxScope.TASK

    def __post_init__(self) -> None:
        check_bounds("lwf", self)


@dataclass(frozen=True, slots=True)
class ClassifierOutput:
    """What one pass of a batch gives.

    Attributes:
        network: the network that gave it.
        feature_maps: [N, F, *cells].
        logits: [N, K].
    """

    network: Classifier
    feature_maps: Tensor
    logits: Tensor


@register("lwf", LWFOptions)
class LWF(ClassificationMethod[LWFOptions]):
    """Cross-entropy on the new labels, and distillation of the old predictions. It stores only the network."""

    def __init__(self, options: LWFOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._teacher: Classifier | None = None

    def softmax_scope(self) -> SoftmaxScope:
        """Returns the scope that the options choose."""
        return self.options.competing

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Keeps the base version as the teacher of what other sites taught, then grows the head."""
        self._teacher, self._taught_columns = None, list(context.other_columns)
        if self._taught_columns and self.is_taught():
            self._teacher = copy.deepcopy(self.network).eval().requires_grad_(False)
        return super().begin_task(context, data)

    def is_taught(self) -> bool:
        """Returns whether a term with a teacher has a weight."""
        return self.options.weight > 0

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns cross-entropy and, where there are other sites, the terms of the teacher."""
        frozen_maps = self.network.backbone.frozen_maps(batch.images)  # the teacher has the same frozen layers
        student = run_classifier(self.network, frozen_maps)
        terms = {"classification": self.cross_entropy(student.logits, batch.classes)}
        if self._teacher is not None:
            with torch.no_grad():
                teacher = run_classifier(self._teacher, frozen_maps)
            terms |= self.teacher_terms(student, teacher)
        return terms

    def teacher_terms(self, student: ClassifierOutput, teacher: ClassifierOutput) -> dict[str, Tensor]:
        """Returns the distillation of what other sites taught."""
        columns = self._taught_columns
        distillation = distillation_loss(
            student.logits[:, columns], teacher.logits[:, columns], self.options.temperature
        )
        return {"distillation": self.options.weight * distillation}

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Drops the teacher."""
        self._teacher = None


def run_classifier(network: Classifier, frozen_maps: Tensor) -> ClassifierOutput:
    """Returns the output of ``network`` on the maps of its frozen layers."""
    feature_maps = network.backbone.maps_from(frozen_maps)
    return ClassifierOutput(network, feature_maps, network.classify(feature_maps))


def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Returns T^2 times the cross-entropy of softened predictions [N, K] against the teacher's (Hinton et al. 2015).

    The factor T^2 keeps the size of the gradient when T changes.
    """
    soft_targets = (teacher_logits / temperature).softmax(1)
    return temperature**2 * functional.cross_entropy(student_logits / temperature, soft_targets)
