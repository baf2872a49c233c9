"""One training step of ``ewc_prototype`` beside a fine-tuning step of the same encoder and decoder, part by part.

What a term costs is the difference to the row without it. ``python -m benchmarks step``.
"""

import statistics
import time
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from anamnesis.methods.base import Batch, Step
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.records import Split
from anamnesis.training import train
from anamnesis.training.optimisers import make_optimiser
from benchmarks.cost import FULL, NUMERICS, SETTINGS, SPEC, context_of, data_of

TURNS = 25
TERMS = ("penalty", "prototype_near_sample", "sample_near_prototype", "saliency_alignment", "prototype_retention")
PLAIN = "fine-tuning"


@dataclass(frozen=True, slots=True)
class Stand:
    """A method in the middle of its second task, with what a step needs."""

    method: EWCPrototype
    optimiser: torch.optim.Optimizer
    batch: Batch
    step: Step

    def seconds(self) -> tuple[float, ...]:
        """Runs one step as the loop does; returns the seconds forward, backward and of the optimiser."""
        marks = [time.perf_counter()]
        loss = torch.stack(list(self.method.loss(self.batch, self.step).values())).sum()
        marks.append(time.perf_counter())
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        marks.append(time.perf_counter())
        self.optimiser.step()
        self.method.after_step(self.step)
        marks.append(time.perf_counter())
        return tuple(after - before for before, after in pairwise(marks))


def stand(options: EWCPrototypeOptions) -> Stand:
    """Returns a method in the middle of its second task."""
    method = EWCPrototype(options, SPEC, seed=0)
    first, second = context_of(0), context_of(1)
    train(method, first, data_of(first), NUMERICS)
    method.network.train().requires_grad_()
    data = data_of(second)
    (stage,) = method.begin(second, data)
    batch = next(iter(data(Split.TRAIN, 1, stage=stage.name)))
    return Stand(method, make_optimiser(stage, SETTINGS, NUMERICS.device), batch, Step(stage.name, 1, 600, 1000, 1e-3))


def run() -> list[dict[str, object]]:
    """Returns a row for fine-tuning, for the whole method, and without each of its terms."""
    torch.set_num_threads(1)
    cases = {PLAIN: replace(FULL, **dict.fromkeys(TERMS, 0.0)), "ewc_prototype": FULL}
    cases |= {f"without {name}": replace(FULL, **{name: 0.0}) for name in TERMS}
    stands = {name: stand(options) for name, options in cases.items()}
    taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in stands}
    for turn in range(TURNS + 1):
        for name, one in stands.items():
            parts = one.seconds()
            if turn:  # the first one fixes the prototypes
                taken[name].append((sum(parts), *parts))
    rows: list[dict[str, object]] = []
    plain = [whole for whole, *_ in taken[PLAIN]]
    for name, values in taken.items():
        ratio = statistics.median(whole / other for (whole, *_), other in zip(values, plain, strict=True))
        milliseconds = [1e3 * statistics.median(part) for part in zip(*values, strict=True)]
        columns = ("ms", "forward ms", "backward ms", "optimiser ms")
        rows.append({"step": name, "over fine-tuning": ratio, **dict(zip(columns, milliseconds, strict=True))})
    return rows
