"""The methods of continual learning, one short file each; ``base`` holds the protocol, ``register`` finds them."""

from anamnesis.methods.base import (
    Batch,
    Data,
    Method,
    Needs,
    ParameterGroup,
    Prediction,
    PredictRequest,
    Stage,
    State,
    Step,
    TaskContext,
    TrainingLog,
    part_of,
)
from anamnesis.methods.register import build_method, method_class, methods, register

__all__ = [
    "Batch",
    "Data",
    "Method",
    "Needs",
    "ParameterGroup",
    "PredictRequest",
    "Prediction",
    "Stage",
    "State",
    "Step",
    "TaskContext",
    "TrainingLog",
    "build_method",
    "method_class",
    "methods",
    "part_of",
    "register",
]
