"""Saliency: maps of an answer, whether they are faithful, their retention between versions, their localisation."""

from anamnesis.evaluation.saliency.faithfulness import deletion_auc, faithfulness, is_faithful
from anamnesis.evaluation.saliency.localisation import energy_in_mask, pointing_game
from anamnesis.evaluation.saliency.maps import AnswerMaps, class_evidence, explain_classes, join_maps
from anamnesis.evaluation.saliency.similarity import (
    cosine,
    iou,
    map_retention,
    random_iou,
    same_class_iou,
    spearman,
    ssim,
)

__all__ = [
    "AnswerMaps",
    "class_evidence",
    "cosine",
    "deletion_auc",
    "energy_in_mask",
    "explain_classes",
    "faithfulness",
    "iou",
    "is_faithful",
    "join_maps",
    "map_retention",
    "pointing_game",
    "random_iou",
    "same_class_iou",
    "spearman",
    "ssim",
]
