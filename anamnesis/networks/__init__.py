"""Networks as plain modules: backbones that give feature maps, heads that grow with the tasks."""

from anamnesis.networks.backbones import build_backbone
from anamnesis.networks.classifier import Classifier
from anamnesis.networks.heads import GrowingHead

__all__ = ["Classifier", "GrowingHead", "build_backbone"]
