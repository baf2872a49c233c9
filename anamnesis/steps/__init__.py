"""The steps of a pipeline: plain JSON in and out. Components and local runs call these and nothing below them.

A step loads only what it needs: training and evaluation alone import torch, and they do it when they are called.
"""

from anamnesis.steps.evaluate import evaluate_forgetting, evaluate_saliency, evaluate_scheduled
from anamnesis.steps.ingest import begin_update, ingest_site
from anamnesis.steps.promote import promote_model
from anamnesis.steps.train import train

__all__ = [
    "begin_update",
    "evaluate_forgetting",
    "evaluate_saliency",
    "evaluate_scheduled",
    "ingest_site",
    "promote_model",
    "train",
]
