"""The one training loop and what it stands on: data, augmentation, precision, checkpoints, random streams."""

from anamnesis.training.checkpoints import Checkpoints
from anamnesis.training.data import SplitData, TensorSplit, tensors_of
from anamnesis.training.loop import train
from anamnesis.training.precision import Numerics, numerics_for
from anamnesis.training.random_streams import RandomStreams

__all__ = [
    "Checkpoints",
    "Numerics",
    "RandomStreams",
    "SplitData",
    "TensorSplit",
    "numerics_for",
    "tensors_of",
    "train",
]
