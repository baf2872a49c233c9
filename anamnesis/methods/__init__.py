"""The methods of continual learning, one short file each; ``base`` has the protocol, ``register`` the look-up."""

from anamnesis.methods.base import (
    Batch,
    Branch,
    Data,
    Method,
    MethodCapabilities,
    ParameterGroup,
    Prediction,
    PredictionRequest,
    Stage,
    StateDict,
    TaskContext,
    TrainingLog,
    TrainingStep,
    part_tensors,
)
from anamnesis.methods.register import build_method, method_class, register, registered_methods

__all__ = [
    "Batch",
    "Branch",
    "Data",
    "Method",
    "MethodCapabilities",
    "ParameterGroup",
    "Prediction",
    "PredictionRequest",
    "Stage",
    "StateDict",
    "TaskContext",
    "TrainingLog",
    "TrainingStep",
    "build_method",
    "method_class",
    "part_tensors",
    "register",
    "registered_methods",
]
