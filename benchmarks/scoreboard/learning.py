"""One method through one sequence, in one process: it yields the method after each site."""

import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from anamnesis.methods import Method, StateDict, TaskContext, build_method
from anamnesis.records import (
    Configuration,
    Split,
    WeightsSettings,
    canonical_json,
    digest_bytes,
    find_class_indices,
    label_space,
)
from anamnesis.storage.store import read_file
from anamnesis.training import RandomStreams, SplitData, TensorSplit, precision_for, train
from anamnesis.updates.pretrained import read_pretrained_file
from benchmarks.scoreboard.sites import BenchmarkSite, Cases


@dataclass(frozen=True, slots=True)
class LearnedMethod:
    """A method after a site.

    Attributes:
        method: with its state.
        labels: all classes seen so far.
        known_sites: the sites whose classes are among them.
        seconds: of learning the site.
        state_bytes: size of the state that the next update would start from.
        log: mean terms of the loss, by epoch.
    """

    method: Method[Any]
    labels: tuple[str, ...]
    known_sites: tuple[BenchmarkSite, ...]
    seconds: float
    state_bytes: int
    log: tuple[Mapping[str, float], ...] = field(repr=False)


def learn(sites: tuple[BenchmarkSite, ...], configuration: Configuration) -> Iterator[LearnedMethod]:
    """Yields the method after each site; a method that opens earlier data learns all sites at once, at the end.

    Raises:
        InputError: unknown method or option, or a loss that is not finite.
    """
    settings, method = configuration.training, _build_method(configuration)
    precision = precision_for(configuration, "cpu")
    for number, site in enumerate(sites):
        labels = label_space(learned_site.task for learned_site in sites[: number + 1])
        training_sites = sites[: number + 1] if method.capabilities.opens_earlier_data else sites[number : number + 1]
        if method.capabilities.opens_earlier_data and number + 1 < len(sites):
            continue
        context = TaskContext(
            task=site.task,
            site=site.name,
            labels=labels,
            class_indices=find_class_indices(site.task, labels),
            other_sites={
                learned_site.name: find_class_indices(learned_site.task, labels) for learned_site in sites[:number]
            },
            is_returning=False,
            settings=settings,
            streams=RandomStreams(settings.seed, f"{site.name}/0"),
        )
        split = _concatenate_splits(training_sites, labels)
        data = SplitData({Split.TRAIN: split}, settings, context.streams, precision)
        start = time.perf_counter()
        log = train(method, context, data, precision)
        seconds = time.perf_counter() - start
        known_sites = tuple(sequence_site for sequence_site in sites if set(sequence_site.task.labels) <= set(labels))
        yield LearnedMethod(
            method,
            labels,
            known_sites=known_sites,
            seconds=seconds,
            state_bytes=state_bytes(method.state_dict()),
            log=log.epoch_losses,
        )


def _build_method(configuration: Configuration) -> Method[Any]:
    """Returns the method at its start; ``features: file`` of a row is a frozen network with the weights of the file."""
    options = dict(configuration.options)
    file = options.pop("file", None)
    if not isinstance(file, str):
        return build_method(configuration)
    del options["features"]
    weights = WeightsSettings(url=file, sha256=digest_bytes(read_file(file)))
    network = replace(configuration.network, weights=weights, frozen="all")
    method = build_method(replace(configuration, options=options, network=network))
    method.load_pretrained(read_pretrained_file(network).tensors)
    return method


def split_of(site: BenchmarkSite, cases: Cases, labels: tuple[str, ...]) -> TensorSplit:
    """Returns cases of a site as the loop reads them."""
    columns = torch.tensor(find_class_indices(site.task, labels))
    ids = tuple(f"{site.name}-{row}" for row in range(len(cases.labels)))
    return TensorSplit.of_images(cases.images, columns[cases.labels], ids)


def state_bytes(state: StateDict) -> int:
    """Returns the bytes of a state's tensors and of the JSON of its other values."""
    tensors = sum(value.numel() * value.element_size() for value in state.values() if isinstance(value, torch.Tensor))
    other_values = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
    return tensors + (len(canonical_json(other_values)) if other_values else 0)


def peak_memory() -> int:
    """Returns the largest resident memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _concatenate_splits(sites: tuple[BenchmarkSite, ...], labels: tuple[str, ...]) -> TensorSplit:
    first_split, *other_splits = (split_of(site, site.train, labels) for site in sites)
    return sum(other_splits, start=first_split)
