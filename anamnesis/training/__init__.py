"""The one training loop and its parts: data, augmentation, precision, checkpoints, random streams."""

from anamnesis.training.checkpoints import Checkpoints
from anamnesis.training.data import SplitData, TensorSplit, samples_to_tensors
from anamnesis.training.loop import train
from anamnesis.training.precision import Precision, precision_for
from anamnesis.training.random_streams import RandomStreams

__all__ = [
    "Checkpoints",
    "Precision",
    "RandomStreams",
    "SplitData",
    "TensorSplit",
    "precision_for",
    "samples_to_tensors",
    "train",
]
