"""Weights from files: formats, digests, and the catalogue of mappings from a file's names to a network's."""

from anamnesis.networks.weights.file_formats import WeightsFile, check_digest, detect_format, read_weights_file
from anamnesis.networks.weights.fitting import FittedWeights, LinearHead, NetworkShape, fit_weights
from anamnesis.networks.weights.loading import fit_backbone, load_backbone_weights
from anamnesis.networks.weights.mappings import MAPPINGS, WeightsMapping, find_mapping

__all__ = [
    "MAPPINGS",
    "FittedWeights",
    "LinearHead",
    "NetworkShape",
    "WeightsFile",
    "WeightsMapping",
    "check_digest",
    "detect_format",
    "find_mapping",
    "fit_backbone",
    "fit_weights",
    "load_backbone_weights",
    "read_weights_file",
]
