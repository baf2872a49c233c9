"""Tiny data and the extremes of the method protocol, small enough to train in a second."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.methods import (
    Batch,
    Branch,
    Data,
    Method,
    MethodCapabilities,
    ParameterGroup,
    Prediction,
    PredictionRequest,
    Stage,
    StateDict,
    TaskContext,
    TrainingStep,
    part_tensors,
)
from anamnesis.methods.classification import ClassificationMethod, restrict_logits
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.networks import Classifier
from anamnesis.networks.heads import GrowingHead
from anamnesis.records import (
    Configuration,
    NetworkSettings,
    Split,
    Task,
    TaskType,
    TrainingSettings,
    decode,
    find_class_indices,
    label_space,
)
from anamnesis.training import RandomStreams, SplitData, TensorSplit, precision_for

SPEC = NetworkSettings(size=(16, 16), options={"width": 8, "norm": "group"})
SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
FIRST = Task("first", TaskType.CLASSIFICATION, ("a", "b"))
SECOND = Task("second", TaskType.CLASSIFICATION, ("c", "d", "e"))


def bar_split(task: Task, labels: tuple[str, ...], count: int = 20, seed: int = 0) -> TensorSplit:
    """Images [N, 1, 16, 16] with a bright bar whose place depends on the class."""
    generator = torch.Generator().manual_seed(seed)
    columns = find_class_indices(task, labels)
    index = torch.arange(count) % len(columns)
    images = 0.3 * torch.rand(count, 1, 16, 16, generator=generator)
    for row, class_index in enumerate(index.tolist()):
        images[row, :, 4 * class_index : 4 * class_index + 3] += 0.6
    targets = torch.tensor(columns)[index]
    return TensorSplit.of_images(images.half(), targets, tuple(f"{task.name}-{row}" for row in range(count)))


def square_split(count: int = 12) -> TensorSplit:
    """Images with a bright square, and its mask [N, 16, 16]."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.randint(0, 10, (count, 2), generator=generator)
    masks = torch.zeros(count, 16, 16, dtype=torch.long)
    for row, (top, left) in enumerate(corner.tolist()):
        masks[row, top : top + 6, left : left + 6] = 1
    images = 0.2 * torch.rand(count, 1, 16, 16, generator=generator) + 0.7 * masks[:, None]
    return TensorSplit.of_images(images.half(), masks, tuple(map(str, range(count))))


def pair_split(task: Task, labels: tuple[str, ...], count: int = 20) -> TensorSplit:
    """CT and PT images [N, 1, 16, 16] of each sample: the bar of the class is in the PT image alone."""
    bars = bar_split(task, labels, count)
    noise = 0.3 * torch.rand(bars.images.shape, generator=torch.Generator().manual_seed(1))
    return TensorSplit({"CT": noise.half(), "PT": bars.images}, bars.targets, bars.sample_ids)


def cube_split(task: Task, labels: tuple[str, ...], count: int = 20) -> TensorSplit:
    """Volumes [N, 1, 8, 8, 8] with a bright slab whose depth depends on the class."""
    columns = find_class_indices(task, labels)
    index = torch.arange(count) % len(columns)
    images = 0.3 * torch.rand(count, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    for row, class_index in enumerate(index.tolist()):
        images[row, :, 2 * class_index : 2 * class_index + 2] += 0.6
    return TensorSplit.of_images(images.half(), torch.tensor(columns)[index], tuple(map(str, range(count))))


def context_of(tasks: tuple[Task, ...], settings: TrainingSettings = SETTINGS) -> TaskContext:
    """The context of the last of ``tasks``, after the others."""
    labels = label_space(tasks)
    earlier_tasks = enumerate(tasks[:-1], start=1)
    return TaskContext(
        task=tasks[-1],
        site=f"site-{len(tasks)}",
        labels=labels,
        class_indices=find_class_indices(tasks[-1], labels),
        other_sites={f"site-{number}": find_class_indices(task, labels) for number, task in earlier_tasks},
        is_returning=False,
        settings=settings,
        streams=RandomStreams(settings.seed, f"update-{len(tasks)}"),
        modalities=("CT", "PT"),
    )


def data_of(context: TaskContext, split: TensorSplit) -> SplitData:
    """The data of one update on the processor."""
    precision = precision_for(Configuration("finetune", {}, SPEC, context.settings), "cpu")
    return SplitData({Split.TRAIN: split}, context.settings, context.streams, precision)


def prototype_options(options: Mapping[str, object]) -> EWCPrototypeOptions:
    """Options of ``ewc_prototype`` by their paths, for example ``consolidation.penalty``."""
    groups: dict[str, dict[str, object]] = {}
    for path, value in options.items():
        group, name = path.split(".")
        groups.setdefault(group, {})[name] = value
    return decode(EWCPrototypeOptions, groups, "ewc_prototype")


@dataclass(frozen=True)
class NoOptions:
    """A method without options."""


class ClosedForm(ClassificationMethod[NoOptions]):
    """Ridge regression on the random features of a frozen backbone: no stage at all."""

    name = "closed_form"

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        super().begin_task(context, data)
        return []

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        raise AssertionError("a method without stages has no loss")

    def end_task(self, context: TaskContext, data: Data) -> None:
        width, class_count = self.network.backbone.width_out, len(context.labels)
        gram, sums = 1e-3 * torch.eye(width), torch.zeros(width, class_count)
        for batch in data(Split.TRAIN):
            embedding = self.predict(batch.images, PredictionRequest(with_embedding=True)).embedding
            assert embedding is not None
            gram += embedding.T @ embedding
            sums += embedding.T @ functional.one_hot(batch.classes, class_count).float()
        with torch.no_grad():
            self.network.head.weight.copy_(torch.linalg.solve(gram, sums).T)


class TwoViews(ClassificationMethod[NoOptions]):
    """A contrastive stage on two views, then a stage that trains the head alone."""

    name = "two_views"

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        super().begin_task(context, data)
        backbone, head = self.network.backbone, self.network.head
        return [
            Stage("contrast", (ParameterGroup(tuple(backbone.parameters())),), (backbone,), epochs=1, views=2),
            Stage(
                "probe", (ParameterGroup(tuple(head.parameters()), lr_scale=2.0),), (head,), epochs=3, optimiser="sgd"
            ),
        ]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        if step.stage == "probe":
            return super().loss(batch, step)
        first, second = (
            functional.normalize(self.network.embed(self.network.features(view)), dim=1) for view in batch.views
        )
        return {"contrast": functional.cross_entropy(first @ second.T / 0.5, torch.arange(len(first)))}


class AdapterNetwork(Classifier):
    """A classifier whose features pass a 1 x 1 adapter that starts as the identity."""

    def __init__(self, spec: NetworkSettings, seed: int) -> None:
        super().__init__(spec, seed)
        self.adapter = nn.Conv2d(self.backbone.width_out, self.backbone.width_out, 1)
        nn.init.zeros_(self.adapter.weight)
        nn.init.zeros_(self.adapter.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> Tensor:
        maps = super().features(images)
        return maps + self.adapter(maps)


class AdaptersOnly(ClassificationMethod[NoOptions]):
    """A frozen backbone with batch normalisation; only the adapter and the head learn."""

    name = "adapters_only"

    def build(self, spec: NetworkSettings, seed: int) -> Classifier:
        super().build(spec, seed)
        return AdapterNetwork(replace(spec, options={**spec.options, "norm": "batch"}), seed)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        super().begin_task(context, data)
        assert isinstance(self.network, AdapterNetwork)
        learning = (self.network.adapter, self.network.head)
        parameters = tuple(parameter for module in learning for parameter in module.parameters())
        return [Stage("adapt", (ParameterGroup(parameters),), train_modules=learning)]


class Segmenter(Method[NoOptions]):
    """One convolution to two classes per pixel, with a running average of its weights."""

    name = "segmenter"
    capabilities = MethodCapabilities(task_types=frozenset({TaskType.SEGMENTATION}))

    def build(self, spec: NetworkSettings, seed: int) -> nn.Module:
        self.average: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            convolution = nn.Conv3d if len(spec.size) == 3 else nn.Conv2d
            return convolution(spec.channels, 2, 3, padding=1)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        return [Stage("segment", (ParameterGroup(tuple(self.network.parameters())),), (self.network,), epochs=6)]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        return {"pixels": functional.cross_entropy(self.network(batch.images), batch.masks)}

    def after_step(self, step: TrainingStep) -> None:
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 0.1)

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        return Prediction(mask_logits=self.network(images))

    def state_dict(self) -> StateDict:
        return super().state_dict() | {f"average/{name}": value for name, value in self.average.items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        super().load_state_dict(state, class_count)
        self.average = part_tensors(state, "average")


class TwoInputs(ClassificationMethod[NoOptions]):
    """A network for each of two modalities; the answer is the sum of their logits."""

    name = "two_inputs"
    capabilities = MethodCapabilities(several_modalities=True)

    def build(self, spec: NetworkSettings, seed: int) -> nn.ModuleDict:
        super().build(spec, seed)
        return nn.ModuleDict({name: Classifier(spec, seed + number) for number, name in enumerate(("CT", "PT"))})

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        assert context.modalities == tuple(self.network)
        self._class_indices = context.class_indices
        self.resize_head(len(context.labels))
        return [Stage("train", (ParameterGroup(tuple(self.network.parameters())),), (self.network,))]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        first_views = {name: views[0] for name, views in batch.inputs.items()}
        return {"classification": self.cross_entropy(self._logits(first_views), batch.classes)}

    def _logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.network[name](images) for name, images in inputs.items()]).sum(0)

    @torch.no_grad()
    def predict_inputs(self, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Prediction:
        assert request.modalities == tuple(inputs)
        self.network.eval()
        return Prediction(restrict_logits(self._logits(inputs), request.class_indices))

    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        return self.predict_inputs(dict.fromkeys(request.modalities, images), request)

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        return ()

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        for classifier in self.network.values():
            classifier.head.keep(kept_columns)

    def resize_head(self, class_count: int) -> None:
        for classifier in self.network.values():
            classifier.head.grow(class_count, torch.Generator().manual_seed(0))


class Volumes(Method[NoOptions]):
    """A convolution over volumes, and a head on the coarse maps as they are."""

    name = "volumes"

    def build(self, spec: NetworkSettings, seed: int) -> nn.ModuleDict:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            maps = nn.Sequential(nn.Conv3d(spec.channels, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d((4, 2, 2)))
        return nn.ModuleDict({"maps": maps, "head": GrowingHead(8 * 16)})

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        self.resize_head(len(context.labels))
        return [Stage("train", (ParameterGroup(tuple(self.network.parameters())),), (self.network,))]

    def _logits(self, images: Tensor) -> Tensor:
        return self.network["head"](self.network["maps"](images).flatten(1))

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        return {"classification": functional.cross_entropy(self._logits(batch.images), batch.classes)}

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        return Prediction(restrict_logits(self._logits(images), request.class_indices))

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        self.network["head"].keep(kept_columns)

    def resize_head(self, class_count: int) -> None:
        self.network["head"].grow(class_count, torch.Generator().manual_seed(0))


EXTREMES: tuple[type[Method[Any]], ...] = (ClosedForm, TwoViews, AdaptersOnly, Segmenter, TwoInputs, Volumes)

__all__ = [
    "EXTREMES",
    "FIRST",
    "SECOND",
    "SETTINGS",
    "SPEC",
    "NoOptions",
    "bar_split",
    "context_of",
    "cube_split",
    "data_of",
    "pair_split",
    "prototype_options",
    "restrict_logits",
    "square_split",
]
