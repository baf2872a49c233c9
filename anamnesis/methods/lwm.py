"""Learning without memorizing: ``lwf``, and the new network looks where the base version looks for old classes.

Dhar et al., CVPR 2019 (arXiv 1811.08051): L = L_C + beta L_D + gamma L_AD. Reconstructed: L_C and L_D are those of
``lwf``, and a weight of 1 for beta and gamma is ours: choose both. An image with an empty map after the ReLU does not
count, because the map has no direction.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.methods.base import MethodCapabilities
from anamnesis.methods.features.saliency_maps import MapDistance, MapNormalisation, activation_maps, map_distance
from anamnesis.methods.lwf import LWF, ClassifierOutput, LWFOptions
from anamnesis.methods.register import register
from anamnesis.records.option_checks import check_bounds, not_negative


@dataclass(frozen=True, slots=True)
class LWMOptions(LWFOptions):
    """Options of ``lwm``.

    Attributes:
        weight: beta, the weight of the distillation of predictions.
        temperature: T, softens both predictions.
        competing: which classes compete in the softmax of the new labels: ``task`` or ``seen``.
        attention: gamma, the weight of the distillation of attention; 0 is ``lwf``.
    """

    attention: float = not_negative(1.0)

    def __post_init__(self) -> None:
        check_bounds("lwm", self)


@register("lwm", LWMOptions)
class LWM(LWF):
    """``lwf``, and the distance between the Grad-CAM maps of teacher and student. It stores only the network."""

    capabilities = MethodCapabilities(research_only=True)
    options: LWMOptions

    def is_taught(self) -> bool:
        """Returns whether a term with a teacher has a weight."""
        return super().is_taught() or self.options.attention > 0

    def teacher_terms(self, student: ClassifierOutput, teacher: ClassifierOutput) -> dict[str, Tensor]:
        """Returns the distillation of predictions and of attention."""
        terms = super().teacher_terms(student, teacher)
        if self.options.attention:
            terms["attention"] = self.options.attention * attention_loss(student, teacher, self._taught_columns)
        return terms


def attention_loss(student: ClassifierOutput, teacher: ClassifierOutput, taught_columns: list[int]) -> Tensor:
    """Returns L_AD, the mean over images of sum_j |Q_j / |Q| - S_j / |S|| over the cells j.

    Q and S are the Grad-CAM maps of teacher and student for the class of ``taught_columns`` that the teacher scores
    highest, and |.| is the L2 norm. ``map_distance`` has the mean over cells times the root of their number; the paper
    has the sum, which is larger by that root again.
    """
    columns = torch.tensor(taught_columns, device=teacher.logits.device)
    top_classes = columns[teacher.logits[:, columns].argmax(1)]
    with torch.autocast(teacher.logits.device.type, enabled=False):  # the maps are compared in float32
        student_maps, teacher_maps = (
            activation_maps(output.feature_maps, output.network.head.weight[top_classes])
            for output in (student, teacher)
        )
        distance = map_distance(student_maps, teacher_maps, MapDistance.L1, MapNormalisation.MASKED)
    return float(student_maps.shape[1:].numel() ** 0.5) * distance
