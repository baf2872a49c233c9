"""The one training loop of all methods: stages, epochs, steps; it resumes after any kill."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Batch, Data, Method, Stage, TaskContext, TrainingLog, TrainingStep, part_tensors
from anamnesis.records import InputError, Progress, Split, ignore_progress
from anamnesis.training.checkpoints import Checkpoints
from anamnesis.training.optimisers import learning_rate_factor, load_optimiser_state, make_optimiser, optimiser_state
from anamnesis.training.precision import Precision


@dataclass(slots=True)
class Position:
    """Position of the loop: only counters, because random streams need nothing else.

    Attributes:
        stage: index of the stage.
        epoch: number of the pass over the split.
        batch: finished batches of this pass.
        step_index: finished optimiser steps of this stage.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step_index: int = 0


@dataclass(slots=True)
class _TrainingRun:
    """One call of ``train``."""

    method: Method[Any]
    context: TaskContext
    data: Data
    precision: Precision
    checkpoints: Checkpoints | None
    progress: Progress
    position: Position = field(default_factory=Position)
    log: list[dict[str, float]] = field(default_factory=list)
    loss_sums: dict[str, Tensor] = field(default_factory=dict)
    logged_metrics: Mapping[str, Tensor] = field(default_factory=dict)
    previous_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Training time so far, with killed attempts up to their last checkpoint."""
        return self.previous_seconds + time.monotonic() - self.started

    def run_stages(self) -> None:
        stages = self.method.begin_task(self.context, self.data)
        optimiser_tensors = self._resume_checkpoint()
        for index, stage in enumerate(stages):
            if index < self.position.stage:
                continue
            self._run_stage(stage, optimiser_tensors)
            optimiser_tensors = None  # each stage has its own optimiser
            self.position = Position(stage=index + 1)
            self._save_checkpoint(None)

    def _run_stage(self, stage: Stage, optimiser_tensors: Mapping[str, Tensor] | None) -> None:
        epochs = stage.epochs or self.context.settings.epochs
        batches = math.ceil(self.data.count(Split.TRAIN) / self.context.settings.batch_size)
        _set_modes(self.method.network, stage)
        optimiser = make_optimiser(stage, self.context.settings, self.precision.device)
        if optimiser_tensors:
            load_optimiser_state(optimiser, optimiser_tensors)
        for epoch in range(self.position.epoch, epochs):
            first_batch = self.position.batch if epoch == self.position.epoch else 0
            self.position.epoch, self.position.batch = epoch, first_batch
            for batch in self.data(Split.TRAIN, stage.views, stage=stage.name, epoch=epoch, first_batch=first_batch):
                self._run_step(stage, batch, optimiser, epochs * batches)
                self.progress(self.position.step_index, epochs * batches, f"{stage.name} epoch {epoch + 1} of {epochs}")
            self._end_epoch(epoch, batches)

    def _run_step(self, stage: Stage, batch: Batch, optimiser: torch.optim.Optimizer, total_steps: int) -> None:
        position = self.position
        factor = learning_rate_factor(position.step_index, total_steps)
        step = TrainingStep(
            stage.name,
            position.epoch,
            step_index=position.step_index,
            total_steps=total_steps,
            learning_rate=self.context.settings.learning_rate * factor,
        )
        for group, parameter_group in zip(optimiser.param_groups, stage.groups, strict=True):
            group["lr"] = step.learning_rate * parameter_group.lr_scale
        torch.manual_seed(self.context.streams.derive_seed("dropout", stage.name, position.step_index))
        with self.precision.autocast():
            terms = self.method.loss(batch, step)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        if position.batch == 0:
            parameters = [value for group in stage.groups for value in group.parameters]
            self.logged_metrics = {**gradient_norms(terms, parameters), **self.method.log_metrics()}
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        self.method.after_step(step)
        for name, term in terms.items():  # on the device: reading the number would block a GPU
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + term.detach().double()
        position.step_index, position.batch = position.step_index + 1, position.batch + 1
        if self.checkpoints and self.checkpoints.is_due():
            self._save_checkpoint(optimiser)

    def _end_epoch(self, epoch: int, batches: int) -> None:
        means = {name: total / batches for name, total in self._finite_totals().items()}
        self.log.append({"epoch": float(epoch), **means, **_to_floats(self.logged_metrics)})
        self.loss_sums.clear()
        self.position.epoch, self.position.batch = epoch + 1, 0

    def _finite_totals(self) -> dict[str, float]:
        totals = _to_floats(self.loss_sums)
        if not all(math.isfinite(total) for total in totals.values()):
            raise InputError(
                f"epoch {self.position.epoch + 1} of the training: the loss is not finite: {totals}; lower "
                "training.learningRate or the weights of the method's losses"
            )
        return totals

    def _save_checkpoint(self, optimiser: torch.optim.Optimizer | None) -> None:
        if self.checkpoints is None:
            return
        position = self.position
        position_values = {
            "stage": position.stage,
            "epoch": position.epoch,
            "batch": position.batch,
            "number": position.step_index,
        }
        state: dict[str, Tensor | object] = {
            f"method/{name}": value for name, value in self.method.state_dict().items()
        }
        if optimiser:
            state |= {f"optimiser/{name}": value for name, value in optimiser_state(optimiser).items()}
        log_values = {
            "log": self.log,
            "sums": self._finite_totals(),
            "watched": _to_floats(self.logged_metrics),
            "seconds": self.seconds,
        }
        self.checkpoints.save({**position_values, **log_values}, state)

    def _resume_checkpoint(self) -> Mapping[str, Tensor] | None:
        checkpoint = self.checkpoints.load() if self.checkpoints else None
        if checkpoint is None:
            return None
        position_values, state = checkpoint
        self.position = Position(*(position_values[name] for name in ("stage", "epoch", "batch", "number")))
        self.log = list(position_values["log"])
        self.loss_sums, self.logged_metrics = (
            {name: torch.tensor(value, dtype=torch.float64) for name, value in position_values[part].items()}
            for part in ("sums", "watched")
        )
        self.previous_seconds = position_values["seconds"]
        prefix = "method/"
        method_state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self.method.load_state_dict(method_state, len(self.context.labels))
        return part_tensors(state, "optimiser")


def train(
    method: Method[Any],
    context: TaskContext,
    data: Data,
    precision: Precision,
    checkpoints: Checkpoints | None = None,
    progress: Progress = ignore_progress,
) -> TrainingLog:
    """Trains ``method`` on the current task, from the last checkpoint if there is one.

    Raises:
        InputError: the loss is not finite; the message has its terms.
    """
    precision.move_to_device(method.network)
    run = _TrainingRun(method, context, data=data, precision=precision, checkpoints=checkpoints, progress=progress)
    with precision.deterministic_mode(), torch.random.fork_rng(devices=[]):
        run.run_stages()
        method.network.eval()
        method.end_task(context, data)
    return TrainingLog(tuple(run.log), run.seconds)


def gradient_norms(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """Returns ``<term>.gradient``: the L2 norm of each term's gradient; the graph and ``.grad`` do not change.

    A term with a small gradient has little effect, and its value does not show that. This takes one backward pass for
    each term, so the loop calls it once an epoch.
    """
    trainable = [value for value in parameters if value.requires_grad]
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, trainable, retain_graph=True, allow_unused=True)
        squared_norms = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
        norms[f"{name}.gradient"] = torch.stack(squared_norms).sum().sqrt() if squared_norms else term.new_zeros(())
    return norms


def _to_floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _set_modes(network: nn.Module, stage: Stage) -> None:
    """Freezes the parameters outside the stage, and puts only its modules in training mode."""
    trainable_ids = {id(parameter) for group in stage.groups for parameter in group.parameters}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in trainable_ids)
    network.eval()
    for module in stage.train_modules:
        module.train()
