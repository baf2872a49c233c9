"""The one training loop and its parts: data, augmentation, precision, checkpoints, random streams."""

from anamnesis.training.checkpoints import DEFAULT_PACE, CheckpointPace, Checkpoints
from anamnesis.training.data import SplitData, TensorSplit, samples_to_tensors
from anamnesis.training.learning_rate import RangeTest, find_learning_rate
from anamnesis.training.loop import train
from anamnesis.training.precision import Precision, precision_for
from anamnesis.training.random_streams import RandomStreams
from anamnesis.training.split_arrays.layout import SplitFormat
from anamnesis.training.split_arrays.opening import open_split_arrays

__all__ = [
    "DEFAULT_PACE",
    "CheckpointPace",
    "Checkpoints",
    "Precision",
    "RandomStreams",
    "RangeTest",
    "SplitData",
    "SplitFormat",
    "TensorSplit",
    "find_learning_rate",
    "open_split_arrays",
    "precision_for",
    "samples_to_tensors",
    "train",
]
