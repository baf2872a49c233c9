"""Where the model looks, and whether it still looks there: Grad-CAM, retention between versions, faithfulness."""

from anamnesis.evaluation.saliency.faithfulness import deletion_auc, insertion_auc
from anamnesis.evaluation.saliency.localisation import energy_in_mask, pointing_game
from anamnesis.evaluation.saliency.maps import Network, grad_cam
from anamnesis.evaluation.saliency.similarity import (
    another_of_its_class,
    cosine,
    iou,
    random_iou,
    retention,
    saliency_forgetting,
    spearman,
    ssim,
)

__all__ = [
    "Network",
    "another_of_its_class",
    "cosine",
    "deletion_auc",
    "energy_in_mask",
    "grad_cam",
    "insertion_auc",
    "iou",
    "pointing_game",
    "random_iou",
    "retention",
    "saliency_forgetting",
    "spearman",
    "ssim",
]
