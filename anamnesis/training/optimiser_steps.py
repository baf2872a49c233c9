"""The optimiser steps of one stage: losses, gradients, clipping, the optimiser."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Batch, Method, TaskContext
from anamnesis.methods.stage import Stage, TrainingStep
from anamnesis.training.optimisers import make_optimiser
from anamnesis.training.precision import Precision


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step of the optimiser computed, on the device: reading a number would block a GPU.

    Attributes:
        terms: loss term -> its sum over the batches of the step.
        gradient_norms: see ``gradient_norms``; empty where they were not measured.
    """

    terms: Mapping[str, Tensor]
    gradient_norms: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class StageSteps:
    """Takes the optimiser steps of a stage.

    Attributes:
        method: with the network.
        stage: which parameters learn, and how.
        context: settings and random streams.
        precision: of the losses.
        optimiser: with its state.
    """

    method: Method[Any]
    stage: Stage
    context: TaskContext
    precision: Precision
    optimiser: torch.optim.Optimizer

    @classmethod
    def begin(cls, method: Method[Any], stage: Stage, context: TaskContext, precision: Precision) -> "StageSteps":
        """Sets the modes of the network and returns the steps of the stage, with a new optimiser."""
        set_modes(method.network, stage)
        optimiser = make_optimiser(stage, context.settings, precision.device)
        return cls(method, stage, context, precision, optimiser)

    def take(self, batches: Sequence[Batch], step: TrainingStep, measures_gradients: bool = False) -> StepResult:
        """Takes one step over some batches together."""
        for group, parameter_group in zip(self.optimiser.param_groups, self.stage.groups, strict=True):
            group["lr"] = step.learning_rate * parameter_group.lr_scale
        self.optimiser.zero_grad(set_to_none=True)
        sample_count = sum(len(batch.sample_indices) for batch in batches)
        totals: dict[str, Tensor] = {}
        norms: Mapping[str, Tensor] = {}
        for micro_batch, batch in enumerate(batches):
            step = replace(step, micro_batch=micro_batch) if micro_batch else step
            terms = self._compute_terms(batch, step)
            is_only_term = len(terms) == len(batches) == 1
            if measures_gradients and not micro_batch and not is_only_term:
                norms = gradient_norms(terms, self.stage.parameters)
            values = torch.stack(list(terms.values()))
            torch.autograd.backward(values.sum() * (len(batch.sample_indices) / sample_count))
            for name, value in zip(terms, values.detach(), strict=True):
                totals[name] = totals[name] + value if name in totals else value
            if measures_gradients and is_only_term:  # its gradient is that of the step
                norms = {f"{name}.gradient": _joint_norm(value.grad for value in self.stage.parameters)}
        if self.stage.gradient_norm:
            nn.utils.clip_grad_norm_(self.stage.parameters, self.stage.gradient_norm, foreach=True)
        self.optimiser.step()
        self.method.after_step(step)
        return StepResult(totals, norms)

    def _compute_terms(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the loss terms in float32."""
        streams = self.context.streams
        self.precision.seed(streams.derive_seed("dropout", self.stage.name, step.step_index, step.micro_batch))
        with self.precision.autocast():
            terms = self.method.loss(batch, step)
        return {name: term.float() for name, term in terms.items()}


def gradient_norms(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """Returns ``<term>.gradient``: the L2 norm of each term's gradient; the graph and ``.grad`` do not change.

    A term with a small gradient has little effect, and its value does not show that. This takes one backward pass for
    each term, so the loop measures them rarely.
    """
    trainable = [value for value in parameters if value.requires_grad]
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, trainable, retain_graph=True, allow_unused=True)
        norms[f"{name}.gradient"] = _joint_norm(gradients)
    return norms


def _joint_norm(gradients: Iterable[Tensor | None]) -> Tensor:
    own_gradients = [gradient for gradient in gradients if gradient is not None]
    return torch.stack(torch._foreach_norm(own_gradients)).norm() if own_gradients else torch.zeros(())


def set_modes(network: nn.Module, stage: Stage) -> None:
    """Freezes the parameters outside the stage, and puts only its modules in training mode."""
    trainable_ids = {id(parameter) for parameter in stage.parameters}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in trainable_ids)
    network.eval()
    for module in stage.train_modules:
        module.train()
