"""A part of a method with its own state and its own checkpoint; a method is a sum of such parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Data, StateDict, TaskContext
from anamnesis.methods.stage import TrainingStep
from anamnesis.networks import Classifier


class MethodComponent:
    """What takes part in a task; every member does nothing until a subclass needs it.

    Attributes:
        name: in the log and in the names of the state's parts.
    """

    name: ClassVar[str]

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Grows with the head and prepares for the task; depends on the base version and the data alone."""

    def after_step(self, network: Classifier, step: TrainingStep) -> None:
        """Applies proximal updates, after the optimiser's step."""

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Measures what later tasks need; can be run again."""

    def forget_site(self, network: Classifier, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes what it has of ``site``, and the rows of all classes except ``kept_columns``."""

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """Returns what the component itself learns, beside the network."""
        return ()

    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns scalars of the last step that are logged and not part of the loss."""
        return {}

    def state_dict(self) -> StateDict:
        """Returns what a later task, or a resumed run, needs, by ``part/name``."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores what ``state_dict`` returned; a part that ``state`` lacks becomes empty."""
