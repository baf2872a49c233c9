"""The learning rate of a model that has none: a short range test on its first training images.

Copies of the network take twelve steps each, all on the same batches, at the rates of a geometric grid. The rate with
the smallest mean loss of the last eight is chosen; a batch's loss is taken before the step on it, so no copy is judged
by images that it learned. A rate that is too small has hardly moved by then, and one that is too large has diverged.
It is the range test of Smith (WACV 2017) with a run for each rate: along one rising rate, a network with group
normalisation showed no minimum. The result depends on the weights, the data, the settings and the seed alone.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from anamnesis.methods.base import Batch, Data, Method, TaskContext, compute_directly
from anamnesis.methods.stage import TrainingStep
from anamnesis.records import Progress, ignore_progress
from anamnesis.training.optimiser_steps import StageSteps
from anamnesis.training.precision import Precision
from anamnesis.training.reused_memory import reused_memory
from anamnesis.training.stage_budget import Position, StageBudget

RATES = {"adamw": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), "sgd": (3e-3, 1e-2, 3e-2, 1e-1, 3e-1)}
STEPS, JUDGED_STEPS = 12, 8


@dataclass(frozen=True, slots=True)
class RangeTest:
    """A finished range test.

    Attributes:
        losses: rate -> mean loss of its last steps; infinite where it diverged.
        chosen_rate: the rate with the smallest loss.
    """

    losses: dict[float, float]
    chosen_rate: float


def find_learning_rate(
    method: Method[Any],
    context: TaskContext,
    data: Data,
    precision: Precision,
    progress: Progress = ignore_progress,
) -> RangeTest | None:
    """Returns the result of a range test on copies of ``method``; none for a method without a stage of training.

    Args:
        method: in the state before ``begin_task``; it does not change.
        context: of the update; its learning rate is not read.
        data: of the update; only training images are read.
        precision: of the training.
        progress: called per step.
    """
    settings = replace(context.settings, learning_rate=1.0)  # the budget needs one; each step has its own
    context = replace(context, settings=settings)
    with precision.deterministic_mode(), reused_memory(), torch.random.fork_rng(devices=[]):
        if not copy.deepcopy(method).begin_task(context, data):
            return None
        results = context.checkpointed(
            "learning_rate_test",
            lambda: {"losses": _try_rates(method, context, data, precision=precision, progress=progress)},
        )
    losses = dict(zip(RATES[settings.optimiser], results["losses"].tolist(), strict=True))
    return RangeTest(losses, choose_rate(losses))


def _try_rates(
    method: Method[Any], context: TaskContext, data: Data, *, precision: Precision, progress: Progress
) -> Tensor:
    """Returns the loss of each rate of the grid."""
    # Saved results belong to the weights of the update's own network, and those of a trial differ from them.
    context = replace(context, checkpointed=compute_directly)
    losses, rates = [], RATES[context.settings.optimiser]
    for number, rate in enumerate(rates):
        trial = copy.deepcopy(method)
        precision.move_to_device(trial.network)
        losses.append(judge(_learn_briefly(trial, rate, context, data=data, precision=precision)))
        progress(number + 1, len(rates), "learning rates tried")
    return torch.tensor(losses, dtype=torch.float64)


def _learn_briefly(
    trial: Method[Any], rate: float, context: TaskContext, *, data: Data, precision: Precision
) -> list[float]:
    """Returns the loss before each step of the first stage at a fixed rate."""
    stage = replace(trial.begin_task(context, data)[0], accumulation=1)
    budget = StageBudget.of(stage, context.settings, data)
    batches = list(islice(budget.batches_of_pass(Position()), STEPS))
    steps = StageSteps.begin(trial, stage, context, precision)
    # The method sees the first step of the stage: later ones may switch further losses on.
    step = TrainingStep(stage.name, 0, step_index=0, total_steps=budget.total_steps, learning_rate=rate)
    return [_take_step(steps, batch, step) for batch in islice(cycle(batches), STEPS)]


def _take_step(steps: StageSteps, batch: Batch, step: TrainingStep) -> float:
    return sum(float(term) for term in steps.take((batch,), step).terms.values())


def judge(step_losses: Sequence[float]) -> float:
    """Returns the mean loss of the last steps; infinity where a loss is not finite."""
    mean = sum(step_losses[-JUDGED_STEPS:]) / JUDGED_STEPS
    return mean if math.isfinite(mean) else math.inf


def choose_rate(losses: dict[float, float]) -> float:
    """Returns the rate with the smallest loss, of equal ones the smallest; the smallest of all where all diverged."""
    return min(sorted(losses), key=losses.__getitem__)
