"""The methods of continual learning, one short file each; ``base`` has the protocol, ``register`` the look-up."""

from anamnesis.methods.base import (
    Batch,
    Branch,
    Data,
    Method,
    MethodCapabilities,
    Prediction,
    PredictionRequest,
    StateDict,
    TaskContext,
    TrainingLog,
    part_tensors,
)
from anamnesis.methods.register import build_method, method_class, register, registered_methods
from anamnesis.methods.stage import BatchSource, ParameterGroup, RateSchedule, Stage, TrainingPass, TrainingStep

__all__ = [
    "Batch",
    "BatchSource",
    "Branch",
    "Data",
    "Method",
    "MethodCapabilities",
    "ParameterGroup",
    "Prediction",
    "PredictionRequest",
    "RateSchedule",
    "Stage",
    "StateDict",
    "TaskContext",
    "TrainingLog",
    "TrainingPass",
    "TrainingStep",
    "build_method",
    "method_class",
    "part_tensors",
    "register",
    "registered_methods",
]
