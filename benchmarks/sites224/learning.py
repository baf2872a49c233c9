"""One method through a sequence, with the product's loop: it yields the method after each site."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from anamnesis.methods import Method, TaskContext, build_method
from anamnesis.methods.base import Batch
from anamnesis.methods.specialists import SpecialistEnsemble
from anamnesis.methods.stage import AugmentationChoice, TrainingPass
from anamnesis.networks import Backbone, Classifier, build_backbone
from anamnesis.records import Configuration, NetworkSettings, Split, find_class_indices, label_space
from anamnesis.training import RandomStreams, SplitData, TensorSplit, precision_for, train
from anamnesis.training.split_arrays.rows import MappedImages, to_unit
from anamnesis.updates.pretrained import read_pretrained_file
from benchmarks.scoreboard.learning import state_bytes
from benchmarks.sites224.frozen_maps import FrozenMaps
from benchmarks.sites224.prepared import VIEWS, PreparedSite, PreparedSplit
from benchmarks.sites224.second_answer import SecondAnswer, second_answers
from benchmarks.sites224.setting import FROZEN_STAGES, SequenceSetting


@dataclass(frozen=True, slots=True)
class ViewData:
    """The ``Data`` of an update whose training images have prepared views: view v in epoch v.

    Attributes:
        data: the images without augmentation.
        views: the same split, once for each view.
    """

    data: SplitData
    views: tuple[TensorSplit, ...]

    def count(self, split: Split) -> int:
        """Returns the number of images of the split."""
        return self.data.count(split)

    def __call__(self, split: Split, training_pass: TrainingPass | None = None) -> Iterator[Batch]:
        """Yields batches; see ``anamnesis.methods.base.Data``."""
        if training_pass is None:
            yield from self.data(split)
            return
        view = replace(self.data, splits={split: self.views[training_pass.epoch % VIEWS]})
        for batch in view(split, replace(training_pass, augmentation=AugmentationChoice.NONE)):
            clean = to_unit(self.data.splits[split].images.read(batch.sample_indices))  # type: ignore[attr-defined]
            yield replace(batch, clean_images=clean)


@dataclass(frozen=True, slots=True)
class LearnedSite:
    """A method after a site.

    Attributes:
        method: with its state.
        second_answers: other answers of the same network, by name.
        labels: all classes seen so far.
        number: of the site in the sequence.
        seconds: of learning it.
        state_bytes: size of the state that the next update starts from.
    """

    method: Method[Any]
    second_answers: Mapping[str, SecondAnswer]
    labels: tuple[str, ...]
    number: int
    seconds: float
    state_bytes: int


def learn(sites: tuple[PreparedSite, ...], setting: SequenceSetting, maps: tuple[Path, ...]) -> Iterator[LearnedSite]:
    """Yields the method after each site; one that opens earlier data learns all sites at once, at the end."""
    configuration = Configuration(setting.method, setting.options, setting.network, setting.training)
    pretrained = read_pretrained_file(setting.network).tensors
    method = build_method(configuration)
    method.load_pretrained(pretrained)
    if setting.frozen == FROZEN_STAGES:
        share_frozen_maps(method, FrozenMaps(pretrained_backbone(setting.network), maps))
    answers = second_answers(configuration, method, pretrained)
    opens_all = method.capabilities.opens_earlier_data
    for number in range(len(sites) - 1 if opens_all else 0, len(sites)):
        context = task_context(sites, number, setting)
        learned_sites = sites if opens_all else sites[number : number + 1]
        start = time.perf_counter()
        data = view_data(learned_sites, context, configuration)
        for answer in answers.values():
            answer.begin(context, data)
        train(method, context, data, precision_for(configuration, "cpu"))
        seconds, size = time.perf_counter() - start, state_bytes(method.state_dict())
        for answer in answers.values():
            answer.end(context, data)
        yield LearnedSite(method, answers, context.labels, number, seconds=seconds, state_bytes=size)


def pretrained_backbone(network: NetworkSettings) -> Backbone:
    """Returns the network at its pretrained weights; its frozen layers are those of every method."""
    backbone = build_backbone(network, seed=0)
    backbone.load_state_dict(read_pretrained_file(network).tensors)
    return backbone.eval()


def share_frozen_maps(method: Method[Any], maps: FrozenMaps) -> None:
    """Lets the method's networks read the stored maps of their frozen layers."""
    network: Any = method.network
    if not isinstance(network, SpecialistEnsemble):
        network.backbone.frozen_maps = maps
        return
    add_member = network.add_member

    def add_sharing_member(*arguments: Any) -> Classifier:
        member = add_member(*arguments)
        member.backbone.frozen_maps = maps  # type: ignore[method-assign]
        return member

    network.add_member = add_sharing_member  # type: ignore[method-assign, assignment]


def task_context(sites: tuple[PreparedSite, ...], number: int, setting: SequenceSetting) -> TaskContext:
    """Returns the context of an update, as the product makes it."""
    site, labels = sites[number].site, label_space(learned.site.task for learned in sites[: number + 1])
    return TaskContext(
        task=site.task,
        site=site.entry.folder,
        labels=labels,
        class_indices=find_class_indices(site.task, labels),
        other_sites={other.name: find_class_indices(other.site.task, labels) for other in sites[:number]},
        is_returning=False,
        settings=setting.training,
        streams=RandomStreams(setting.seed, f"{site.entry.folder}/0"),
    )


def view_data(sites: tuple[PreparedSite, ...], context: TaskContext, configuration: Configuration) -> ViewData:
    """Returns the training images of the sites, and their views."""

    def join(images: int | None) -> TensorSplit:
        splits = [tensor_split(site, _training_images(site, images), context.labels) for site in sites]
        return sum(splits[1:], start=splits[0])

    precision = precision_for(configuration, "cpu")
    data = SplitData({Split.TRAIN: join(None)}, context.settings, context.streams, precision)
    return ViewData(data, tuple(join(view) for view in range(VIEWS)))


def _training_images(site: PreparedSite, view: int | None) -> PreparedSplit:
    return site.train if view is None else replace(site.train, images=site.views[view])


def tensor_split(site: PreparedSite, split: PreparedSplit, labels: tuple[str, ...]) -> TensorSplit:
    """Returns a split as the loop reads it."""
    columns = torch.tensor(find_class_indices(site.site.task, labels))
    names = tuple(f"{site.name}-{row}" for row in range(len(split.labels)))
    targets = {"class": columns[split.labels], "patient": split.patients}
    return TensorSplit({site.site.entry.modality: MappedImages(split.images)}, targets, names)
