"""One method through one sequence, in one process: learn a site, judge all sites so far, go on."""

import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from anamnesis.methods import Method, State, TaskContext, build_method
from anamnesis.records import (
    Configuration,
    NetworkSpec,
    Split,
    TrainingSettings,
    canonical_json,
    columns_of,
    label_space,
)
from anamnesis.training import RandomStreams, SplitData, TensorSplit, numerics_for, train
from benchmarks.scoreboard.sites import Cases, Site


@dataclass(frozen=True, slots=True)
class Learned:
    """Where a method stands after a site.

    Attributes:
        method: with its state.
        labels: every class met so far.
        known: the sites whose classes are among them.
        seconds: that learning the site took.
        state_bytes: of all that the next update would be given.
        log: mean terms of the loss, by epoch.
    """

    method: Method[Any]
    labels: tuple[str, ...]
    known: tuple[Site, ...]
    seconds: float
    state_bytes: int
    log: tuple[Mapping[str, float], ...] = field(repr=False)


def learn(
    sites: tuple[Site, ...], name: str, options: Mapping[str, object], network: NetworkSpec, settings: TrainingSettings
) -> Iterator[Learned]:
    """Yields the method after each site; a method that opens earlier data learns all sites at once, at the end.

    Raises:
        InputError: unknown method or option, or a loss that is not finite.
    """
    configuration = Configuration(name, options, network, settings)
    method = build_method(configuration)
    numerics = numerics_for(configuration, "cpu")
    for number, site in enumerate(sites):
        labels = label_space(past.task for past in sites[: number + 1])
        shown = sites[: number + 1] if method.needs.earlier_data else sites[number : number + 1]
        if method.needs.earlier_data and number + 1 < len(sites):
            continue
        context = TaskContext(
            task=site.task,
            site=site.name,
            labels=labels,
            columns=columns_of(site.task, labels),
            earlier=number > 0,
            settings=settings,
            streams=RandomStreams(settings.seed, f"{site.name}/0"),
        )
        split = _together(shown, labels)
        data = SplitData({Split.TRAIN: split}, settings, context.streams, numerics)
        start = time.perf_counter()
        log = train(method, context, data, numerics)
        seconds = time.perf_counter() - start
        known = tuple(other for other in sites if set(other.task.labels) <= set(labels))
        yield Learned(method, labels, known, seconds, state_bytes(method.state_dict()), log.epochs)


def split_of(site: Site, cases: Cases, labels: tuple[str, ...]) -> TensorSplit:
    """Returns cases of a site as the loop reads them."""
    columns = torch.tensor(columns_of(site.task, labels))
    ids = tuple(f"{site.name}-{row}" for row in range(len(cases.labels)))
    return TensorSplit(cases.images, columns[cases.labels], ids)


def state_bytes(state: State) -> int:
    """Returns the bytes of a state's tensors and of the JSON of its other values."""
    tensors = sum(value.numel() * value.element_size() for value in state.values() if isinstance(value, torch.Tensor))
    others = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
    return tensors + (len(canonical_json(others)) if others else 0)


def peak_memory() -> int:
    """Returns the largest resident memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _together(sites: tuple[Site, ...], labels: tuple[str, ...]) -> TensorSplit:
    first, *others = (split_of(site, site.train, labels) for site in sites)
    return sum(others, start=first)
