"""The one training loop of all methods: stages, epochs, steps; it resumes after any kill."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from anamnesis.methods.base import Batch, Data, Method, TaskContext, TrainingLog, part_tensors
from anamnesis.methods.stage import Stage, TrainingStep
from anamnesis.records import InputError, Progress, ignore_progress
from anamnesis.training.checkpoints import Checkpoints
from anamnesis.training.optimiser_steps import StageSteps
from anamnesis.training.optimisers import load_optimiser_state, optimiser_state
from anamnesis.training.precision import Precision
from anamnesis.training.reported_data import ReportedData
from anamnesis.training.reused_memory import reused_memory
from anamnesis.training.saved_results import SavedResults
from anamnesis.training.stage_budget import Position, StageBudget


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
            self._save_if_due(None)

    def _run_stage(self, stage: Stage, optimiser_tensors: Mapping[str, Tensor] | None) -> None:
        steps = StageSteps.begin(self.method, stage, self.context, self.precision)
        if optimiser_tensors:
            load_optimiser_state(steps.optimiser, optimiser_tensors)
        budget = StageBudget.of(stage, self.context.settings, self.data)
        while self.position.step_index < budget.total_steps:
            first_step = self.position.step_index
            for batches in _grouped(budget.batches_of_pass(self.position), stage.accumulation):
                self._run_step(steps, batches, budget)
                if self.position.batch == 0 or self.position.step_index == budget.total_steps:
                    break
            if self.position.batch or self.position.step_index == first_step:
                raise ValueError(
                    f"stage {stage.name!r}: expected {budget.batches_per_pass} batches in a pass, found "
                    f"{self.position.batch}; correct batch_count of the stage's source"
                )

    def _run_step(self, steps: StageSteps, batches: Sequence[Batch], budget: StageBudget) -> None:
        position = self.position
        step = TrainingStep(
            steps.stage.name,
            position.epoch,
            step_index=position.step_index,
            total_steps=budget.total_steps,
            learning_rate=budget.learning_rate(position.step_index),
        )
        is_measured = position.batch == 0 and budget.measures_gradients(position.epoch)
        result = steps.take(batches, step, is_measured)
        if position.batch == 0:
            self.logged_metrics = {**result.gradient_norms, **self.method.log_metrics()}
        for name, total in result.terms.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + total.double()
        position.step_index, position.batch = position.step_index + 1, position.batch + len(batches)
        if position.batch >= budget.batches_per_pass or position.step_index == budget.total_steps:
            self._end_epoch()
        self._save_if_due(steps.optimiser)
        self.progress(position.step_index, budget.total_steps, budget.describe(step.epoch))

    def _end_epoch(self) -> None:
        position = self.position
        means = {name: total / position.batch for name, total in self._finite_totals().items()}
        self.log.append({"epoch": float(position.epoch), **means, **_to_floats(self.logged_metrics)})
        self.loss_sums.clear()
        position.epoch, position.batch = position.epoch + 1, 0

    def _save_if_due(self, optimiser: torch.optim.Optimizer | None) -> None:
        if self.checkpoints and self.checkpoints.is_due():
            self._save_checkpoint(self.checkpoints, optimiser)

    def _finite_totals(self) -> dict[str, float]:
        totals = _to_floats(self.loss_sums)
        if not all(math.isfinite(total) for total in totals.values()):
            raise InputError(
                f"epoch {self.position.epoch + 1} of the training: the loss is not finite: {totals}; lower "
                "training.learningRate or the weights of the method's losses"
            )
        return totals

    def _save_checkpoint(self, checkpoints: Checkpoints, optimiser: torch.optim.Optimizer | None) -> None:
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
        checkpoints.save({**position_values, **log_values}, state, frozen=self._frozen_names(state))

    def _frozen_names(self, state: Mapping[str, Tensor | object]) -> set[str]:
        """Returns the names of the tensors of the state that are parameters without gradients."""
        frozen = {value.data_ptr() for value in self.method.network.parameters() if not value.requires_grad}
        return {name for name, value in state.items() if isinstance(value, Tensor) and value.data_ptr() in frozen}

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
    if checkpoints:
        context = replace(context, checkpointed=SavedResults(checkpoints, method.network))
    run = _TrainingRun(method, context, data=data, precision=precision, checkpoints=checkpoints, progress=progress)
    with precision.deterministic_mode(), reused_memory(), torch.random.fork_rng(devices=[]):
        run.run_stages()
        method.network.eval()
        method.end_task(context, ReportedData(data, progress))
    return TrainingLog(tuple(run.log), run.seconds)


def _to_floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[tuple[Batch, ...]]:
    """Yields ``size`` batches at a time; the last group may be smaller."""
    while group := tuple(islice(batches, size)):
        yield group
