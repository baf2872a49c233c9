"""HiResCAM of the answer that was given, in one batched pass, whatever parts of a model the answer reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from anamnesis.evaluation.saliency.resizing import resize_maps
from anamnesis.methods import Branch
from anamnesis.networks import evaluation_mode
from anamnesis.networks.modes import HasModules


class ExplainedMethod(Protocol):
    """What explaining an answer needs; see ``Method``, whose functions these are."""

    @property
    def network(self) -> HasModules:
        """Is put into evaluation mode."""

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps that the answer reads."""

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the answer's logits [N, K]."""


@dataclass(frozen=True, slots=True)
class AnswerMaps:
    """Maps of one class for each image.

    Attributes:
        whole: [N, ...], zero or more, not normalised, with the images' spatial axes: what speaks for the class in the
            whole answer, at the finest resolution of its branches.
        learned: [N, ...]: the same in the branches that learn; none where no branch learns.
        learned_share: [N], 0 to 1: their share of all evidence, for and against the class.
    """

    whole: Tensor
    learned: Tensor | None
    learned_share: Tensor


def explain_classes(
    method: ExplainedMethod, images: Tensor, class_indices: Tensor, task_classes: Sequence[int]
) -> AnswerMaps | None:
    """Returns the maps of a class in a method's answer to each image, or none where it has no maps.

    Args:
        method: its mode is restored, and no parameter gets a gradient.
        images: [N, channels, ...] with one to three spatial axes.
        class_indices: [N], the column to explain, one per image.
        task_classes: the columns of the task, see ``class_evidence``.
    """
    with evaluation_mode(method.network), torch.inference_mode(False):
        with torch.no_grad():
            branches = method.explained_features(images)
        if not branches:
            return None
        evidence = class_evidence(branches, method, class_indices, task_classes)
    learned_evidence = [maps for maps, branch in zip(evidence, branches, strict=True) if branch.learns]
    return AnswerMaps(
        whole=_add_maps(evidence).relu(),
        learned=_add_maps(learned_evidence).relu() if learned_evidence else None,
        learned_share=_total(learned_evidence, len(images)) / _total(evidence, len(images)).clamp(min=1e-30),
    )


def join_maps(parts: Sequence[AnswerMaps]) -> AnswerMaps:
    """Returns the maps of several batches of one method as those of one."""
    learned = [part.learned for part in parts if part.learned is not None]
    return AnswerMaps(
        whole=torch.cat([part.whole for part in parts]),
        learned=torch.cat(learned) if learned else None,
        learned_share=torch.cat([part.learned_share for part in parts]),
    )


def class_evidence(
    branches: Sequence[Branch], method: ExplainedMethod, class_indices: Tensor, task_classes: Sequence[int]
) -> tuple[Tensor, ...]:
    """Returns the evidence for a class at each pixel of each branch, [N, ...], above and below zero.

    sum_c (d score / d A_c) A_c at each pixel: HiResCAM (Draelos and Carin 2020, arXiv 2011.08891), before its relu.
    Where the answer is linear in the features, the evidence adds up to the score without its bias. It equals Grad-CAM
    (Selvaraju et al., ICCV 2017) where the answer is linear in their mean; over a grid of cells Grad-CAM averages the
    weights of different cells and is no longer the map of the answer. The score is the class's logit minus the mean
    logit of the task's classes: a softmax does not depend on the common part of its logits, so two networks with equal
    answers can differ in it, and without this correction the map of a right answer can be zero everywhere.

    In evaluation mode one image's logits depend on its own features alone, so that the gradient of the sum is every
    image's gradient. Only the answer is differentiated, with respect to the features.

    Args:
        branches: of the images, see ``Method.explained_features``.
        method: maps them to logits.
        class_indices: [N], the column to explain, one per image.
        task_classes: the columns of the task; none explains the plain logit.
    """
    with torch.enable_grad():
        features = [branch.features.detach().requires_grad_() for branch in branches]
        logits = method.answer_from(features)
        score = logits.gather(1, class_indices[:, None].to(logits.device)).sum()
        if len(task_classes):
            score = score - logits[:, list(task_classes)].mean(1).sum()
        gradients = torch.autograd.grad(score, features, allow_unused=True)
    return tuple(
        torch.zeros_like(maps[:, 0], dtype=torch.float32)
        if gradient is None
        else (gradient.float() * maps.detach().float()).sum(1)
        for gradient, maps in zip(gradients, features, strict=True)
    )


def _add_maps(evidence: Sequence[Tensor]) -> Tensor:
    """Returns the sum [N, ...] of maps of several resolutions, at the finest; each keeps its total."""
    size = max((maps.shape[1:] for maps in evidence), key=lambda shape: shape.numel())
    return sum(
        (resize_maps(maps, size) * (maps.shape[1:].numel() / size.numel()) for maps in evidence),
        start=evidence[0].new_zeros(()),
    )


def _total(evidence: Iterable[Tensor], count: int) -> Tensor:
    return sum((maps.abs().flatten(1).sum(1) for maps in evidence), start=torch.zeros(count))
