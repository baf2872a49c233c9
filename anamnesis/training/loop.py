"""The one training loop: stages, epochs, steps; every method goes through it, and any kill of it can be resumed."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Batch, Data, Method, Stage, Step, TaskContext, TrainingLog, part_of
from anamnesis.records import InputError, Progress, Split, silent
from anamnesis.training.checkpoints import Checkpoints
from anamnesis.training.optimisers import load_optimiser_state, make_optimiser, optimiser_state, rate_factor
from anamnesis.training.precision import Numerics


@dataclass(slots=True)
class Position:
    """Where the loop is: counters only, as the random streams need nothing else.

    Attributes:
        stage: index of the stage.
        epoch: pass over the split.
        batch: batches of this pass that are done.
        number: optimiser steps of this stage that are done.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    number: int = 0


@dataclass(slots=True)
class _Run:
    """One call of ``train``."""

    method: Method[Any]
    context: TaskContext
    data: Data
    numerics: Numerics
    checkpoints: Checkpoints | None
    progress: Progress
    position: Position = field(default_factory=Position)
    log: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)
    watched: Mapping[str, Tensor] = field(default_factory=dict)
    earlier_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Training time so far, with that of killed attempts up to their last checkpoint."""
        return self.earlier_seconds + time.monotonic() - self.started

    def stages(self) -> None:
        stages = self.method.begin(self.context, self.data)
        resumed = self._resume()
        for index, stage in enumerate(stages):
            if index < self.position.stage:
                continue
            self._stage(stage, resumed)
            resumed = None  # an optimiser belongs to its stage
            self.position = Position(stage=index + 1)
            self._save(None)

    def _stage(self, stage: Stage, resumed: Mapping[str, Tensor] | None) -> None:
        epochs = stage.epochs or self.context.settings.epochs
        batches = math.ceil(self.data.count(Split.TRAIN) / self.context.settings.batch_size)
        _set_modes(self.method.network, stage)
        optimiser = make_optimiser(stage, self.context.settings, self.numerics.device)
        if resumed:
            load_optimiser_state(optimiser, resumed)
        for epoch in range(self.position.epoch, epochs):
            start = self.position.batch if epoch == self.position.epoch else 0
            self.position.epoch, self.position.batch = epoch, start
            for batch in self.data(Split.TRAIN, stage.views, stage=stage.name, epoch=epoch, start=start):
                self._step(stage, batch, optimiser, epochs * batches)
                self.progress(self.position.number, epochs * batches, f"{stage.name} epoch {epoch + 1} of {epochs}")
            self._end_epoch(epoch, batches)

    def _step(self, stage: Stage, batch: Batch, optimiser: torch.optim.Optimizer, total: int) -> None:
        at = self.position
        factor = rate_factor(at.number, total)
        step = Step(stage.name, at.epoch, at.number, total, self.context.settings.learning_rate * factor)
        for group, declared in zip(optimiser.param_groups, stage.groups, strict=True):
            group["lr"] = step.rate * declared.rate
        torch.manual_seed(self.context.streams.number("dropout", stage.name, at.number))
        with self.numerics.autocast():
            terms = self.method.loss(batch, step)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        if at.batch == 0:
            parameters = [value for group in stage.groups for value in group.parameters]
            self.watched = {**gradient_norms(terms, parameters), **self.method.watched()}
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        self.method.after_step(step)
        for name, term in terms.items():  # on the device: reading a number would make a GPU wait
            self.sums[name] = self.sums.get(name, 0.0) + term.detach().double()
        at.number, at.batch = at.number + 1, at.batch + 1
        if self.checkpoints and self.checkpoints.due():
            self._save(optimiser)

    def _end_epoch(self, epoch: int, batches: int) -> None:
        means = {name: total / batches for name, total in self._totals().items()}
        self.log.append({"epoch": float(epoch), **means, **_numbers(self.watched)})
        self.sums.clear()
        self.position.epoch, self.position.batch = epoch + 1, 0

    def _totals(self) -> dict[str, float]:
        totals = _numbers(self.sums)
        if not all(math.isfinite(total) for total in totals.values()):
            raise InputError(
                f"the loss is not finite in epoch {self.position.epoch + 1}: {totals}; lower a weight or the rate"
            )
        return totals

    def _save(self, optimiser: torch.optim.Optimizer | None) -> None:
        if self.checkpoints is None:
            return
        at = self.position
        place = {"stage": at.stage, "epoch": at.epoch, "batch": at.batch, "number": at.number}
        state: dict[str, Tensor | object] = {
            f"method/{name}": value for name, value in self.method.state_dict().items()
        }
        if optimiser:
            state |= {f"optimiser/{name}": value for name, value in optimiser_state(optimiser).items()}
        carried = {"log": self.log, "sums": self._totals(), "watched": _numbers(self.watched), "seconds": self.seconds}
        self.checkpoints.save({**place, **carried}, state)

    def _resume(self) -> Mapping[str, Tensor] | None:
        found = self.checkpoints.load() if self.checkpoints else None
        if found is None:
            return None
        place, state = found
        self.position = Position(*(place[name] for name in ("stage", "epoch", "batch", "number")))
        self.log = list(place["log"])
        self.sums, self.watched = (
            {name: torch.tensor(value, dtype=torch.float64) for name, value in place[part].items()}
            for part in ("sums", "watched")
        )
        self.earlier_seconds = place["seconds"]
        prefix = "method/"
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self.method.load_state_dict(own, len(self.context.labels))
        return part_of(state, "optimiser")


def train(
    method: Method[Any],
    context: TaskContext,
    data: Data,
    numerics: Numerics,
    checkpoints: Checkpoints | None = None,
    progress: Progress = silent,
) -> TrainingLog:
    """Trains ``method`` on the task at hand, from where the last checkpoint stands if there is one.

    Raises:
        InputError: the loss is not finite; the message has its terms.
    """
    numerics.place(method.network)
    run = _Run(method, context, data, numerics, checkpoints, progress)
    with numerics.applied(), torch.random.fork_rng(devices=[]):
        run.stages()
        method.network.eval()
        method.end(context, data)
    return TrainingLog(tuple(run.log), run.seconds)


def gradient_norms(terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """Returns ``<term>.gradient``: the L2 norm of each term's gradient; the graph and ``.grad`` stay as they are.

    Terms of very different norms hide each other, and their values do not show it. One backward pass for each term:
    the loop asks once an epoch.
    """
    learning = [value for value in parameters if value.requires_grad]
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, learning, retain_graph=True, allow_unused=True)
        squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
        norms[f"{name}.gradient"] = torch.stack(squares).sum().sqrt() if squares else term.new_zeros(())
    return norms


def _numbers(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _set_modes(network: nn.Module, stage: Stage) -> None:
    """Freezes what the stage does not train, and puts only its modules in training mode."""
    learning = {id(parameter) for group in stage.groups for parameter in group.parameters}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in learning)
    network.eval()
    for module in stage.train:
        module.train()
