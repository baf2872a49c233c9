"""Networks as plain modules: backbones that return feature maps, heads that grow with the tasks."""

from anamnesis.networks.autoencoder import AutoEncoder
from anamnesis.networks.backbone import Backbone, FeatureLevel, Levels, Normalisation
from anamnesis.networks.build import build_backbone
from anamnesis.networks.classifier import Classifier
from anamnesis.networks.freezing import find_learnable
from anamnesis.networks.heads import GrowingHead
from anamnesis.networks.modes import evaluation_mode

__all__ = [
    "AutoEncoder",
    "Backbone",
    "Classifier",
    "FeatureLevel",
    "GrowingHead",
    "Levels",
    "Normalisation",
    "build_backbone",
    "evaluation_mode",
    "find_learnable",
]
