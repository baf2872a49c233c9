"""Saliency: Grad-CAM maps, their retention between versions, their localisation and their faithfulness."""

from anamnesis.evaluation.saliency.faithfulness import deletion_auc, insertion_auc
from anamnesis.evaluation.saliency.localisation import energy_in_mask, pointing_game
from anamnesis.evaluation.saliency.maps import SaliencyNetwork, grad_cam
from anamnesis.evaluation.saliency.similarity import (
    cosine,
    iou,
    map_retention,
    random_iou,
    same_class_pairs,
    spearman,
    ssim,
)

__all__ = [
    "SaliencyNetwork",
    "cosine",
    "deletion_auc",
    "energy_in_mask",
    "grad_cam",
    "insertion_auc",
    "iou",
    "map_retention",
    "pointing_game",
    "random_iou",
    "same_class_pairs",
    "spearman",
    "ssim",
]
