"""One training step of ``ewc_prototype`` beside a fine-tuning step of the same encoder and decoder, part by part.

The cost of a loss is the difference to the row without it. ``python -m benchmarks step``.
"""

import statistics
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch

from anamnesis.methods.base import Batch
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.stage import TrainingPass, TrainingStep
from anamnesis.records import Split
from anamnesis.training import train
from anamnesis.training.optimisers import make_optimiser
from benchmarks.cost import FULL_OPTIONS, NETWORK_SPEC, PRECISION, TRAINING_SETTINGS, context_of, data_of

TURNS = 25
LOSS_WEIGHTS = {
    "ewc": ("consolidation", "penalty"),
    "prototype_near_sample": ("latent_prototypes", "prototype_near_sample"),
    "sample_near_prototype": ("latent_prototypes", "sample_near_prototype"),
    "saliency_alignment": ("saliency", "weight"),
    "prototype_retention": ("retention", "weight"),
}
"""Group and option of the weight of each loss."""
FINE_TUNING = "fine-tuning"


@dataclass(frozen=True, slots=True)
class StepBench:
    """A method in the middle of its second task, with what a step needs."""

    method: EWCPrototype
    optimiser: torch.optim.Optimizer
    batch: Batch
    step: TrainingStep

    def time_step(self) -> tuple[float, ...]:
        """Runs one step as the loop does; returns the seconds forward, backward and of the optimiser."""
        times = [time.perf_counter()]
        loss = torch.stack(list(self.method.loss(self.batch, self.step).values())).sum()
        times.append(time.perf_counter())
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        times.append(time.perf_counter())
        self.optimiser.step()
        self.method.after_step(self.step)
        times.append(time.perf_counter())
        return tuple(end - start for start, end in pairwise(times))


def make_step_bench(options: EWCPrototypeOptions) -> StepBench:
    """Returns a method in the middle of its second task."""
    method = EWCPrototype(options, NETWORK_SPEC, seed=0)
    first_context, second_context = context_of(0), context_of(1)
    train(method, first_context, data_of(first_context), PRECISION)
    method.network.train().requires_grad_()
    data = data_of(second_context)
    (stage,) = method.begin_task(second_context, data)
    batch = next(iter(data(Split.TRAIN, TrainingPass(stage.name))))
    return StepBench(
        method,
        make_optimiser(stage, TRAINING_SETTINGS, PRECISION.device),
        batch,
        TrainingStep(stage.name, 1, step_index=600, total_steps=1000, learning_rate=1e-3),
    )


def switch_off(*losses: str) -> EWCPrototypeOptions:
    """Returns the options with the weights of ``losses`` at 0."""
    options: Any = FULL_OPTIONS
    for group, name in (LOSS_WEIGHTS[loss] for loss in losses):
        options = replace(options, **{group: replace(getattr(options, group), **{name: 0.0})})
    return cast(EWCPrototypeOptions, options)


def run() -> list[dict[str, object]]:
    """Returns a row for fine-tuning, for the whole method, and without each of its losses."""
    torch.set_num_threads(1)
    cases = {FINE_TUNING: switch_off(*LOSS_WEIGHTS), "ewc_prototype": FULL_OPTIONS}
    cases |= {f"without {loss}": switch_off(loss) for loss in LOSS_WEIGHTS}
    step_benches = {name: make_step_bench(options) for name, options in cases.items()}
    timings: dict[str, list[tuple[float, ...]]] = {name: [] for name in step_benches}
    for turn in range(TURNS + 1):
        for name, step_bench in step_benches.items():
            parts = step_bench.time_step()
            if turn:  # the first one fixes the prototypes
                timings[name].append((sum(parts), *parts))
    rows: list[dict[str, object]] = []
    fine_tuning_totals = [total for total, *_ in timings[FINE_TUNING]]
    for name, values in timings.items():
        ratio = statistics.median(
            total / fine_tuning_total for (total, *_), fine_tuning_total in zip(values, fine_tuning_totals, strict=True)
        )
        milliseconds = [1e3 * statistics.median(part) for part in zip(*values, strict=True)]
        columns = ("ms", "forward ms", "backward ms", "optimiser ms")
        rows.append({"step": name, "over fine-tuning": ratio, **dict(zip(columns, milliseconds, strict=True))})
    return rows
