"""The protocol between a method of continual learning and the one training loop.

A method defines which parameters learn in which stages, and the loss. It owns neither the loop, nor the optimiser, nor
the device; it gets images only through ``Data``, and files only through ``TaskContext.read_file``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings, Split, Task, TaskType, TrainingSettings

if TYPE_CHECKING:  # the loop imports this module
    from anamnesis.training.random_streams import RandomStreams

Options = TypeVar("Options")
StateDict = dict[str, Tensor | object]
"""``part/name`` -> tensor or plain JSON value; each part becomes one blob of the version."""


@dataclass(frozen=True, slots=True)
class MethodCapabilities:
    """What a method can do and needs; for people, the gate and the guard.

    Attributes:
        task_types: the types of task that it can learn.
        opens_earlier_data: opens the training splits of earlier snapshots too: an upper bound, not continual learning.
        stores_exemplars: keeps real images in its state; refused unless the model's change plan allows it.
        chooses_on_validation: chooses something, such as a strength, on validation patients. Only then are they held
            out as ``Split.VALIDATION``; all other methods train on them too.
        research_only: for comparison in benchmarks only; it has no trainer and no pipeline, and resources refuse it.
    """

    task_types: frozenset[TaskType] = frozenset({TaskType.CLASSIFICATION})
    opens_earlier_data: bool = False
    stores_exemplars: bool = False
    chooses_on_validation: bool = False
    research_only: bool = False


@dataclass(frozen=True, slots=True)
class TaskContext:
    """The current task, its place after the earlier ones, and what an update gives to a method.

    Attributes:
        task: the task to learn.
        site: name of the site.
        labels: the model's label space with this task's labels in it.
        class_indices: which columns of the logits belong to this task.
        other_sites: the columns of the logits that each other site taught, by the site's name; empty for a model of
            this site alone. A site that returns brings all its data: a method replaces what it has of the site, and
            protects the knowledge of the others.
        is_returning: whether an earlier update learned the site; false for the site of imported weights.
        settings: budget and precision.
        streams: named random streams of this update.
        read_file: returns the bytes of a file that an option names, as a path or a URL; raises an ``InputError`` that
            names the file where it cannot be read.
    """

    task: Task
    site: str
    labels: tuple[str, ...]
    class_indices: tuple[int, ...]
    other_sites: Mapping[str, tuple[int, ...]]
    is_returning: bool
    settings: TrainingSettings
    streams: RandomStreams
    read_file: Callable[[str], bytes]

    @property
    def other_columns(self) -> tuple[int, ...]:
        """The columns of the logits that another site taught, sorted."""
        return tuple(sorted({column for columns in self.other_sites.values() for column in columns}))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples on the device.

    Attributes:
        views: each [N, C, H, W] float32 in [0, 1]; one clean view, or the number of augmented ones that the stage has.
        targets: [N] columns of the logits; or [N, H, W] class per pixel for segmentation.
        sample_indices: [N] positions in the split.
    """

    views: tuple[Tensor, ...]
    targets: Tensor
    sample_indices: Tensor

    @property
    def images(self) -> Tensor:
        """The first view."""
        return self.views[0]


class Data(Protocol):
    """The only access to images. Iterates deterministically."""

    def __call__(
        self, split: Split, views: int = 0, *, stage: str = "", epoch: int = 0, first_batch: int = 0
    ) -> Iterator[Batch]:
        """Yields batches.

        Args:
            split: which split; the guard refuses splits that the update may not open.
            views: 0 for clean images in stored order; 1 or more for shuffled, augmented views.
            stage: name of the stage whose random streams are used.
            epoch: number of the pass.
            first_batch: number of the first batch, when training resumes inside an epoch.
        """

    def count(self, split: Split) -> int:
        """Returns the number of samples of the split."""


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that learn at the same rate.

    Attributes:
        parameters: the parameters.
        lr_scale: factor on the learning rate of the settings.
        weight_decay_scale: factor on the weight decay of the settings.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_scale: float = 1.0
    weight_decay_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of gradient descent.

    Attributes:
        name: names its random streams, checkpoints and log lines.
        groups: the parameters that learn; all others are frozen.
        train_modules: modules in training mode; all others are in evaluation mode, so that their buffers do not change.
        epochs: passes over the training split; 0 takes the settings'.
        views: augmented views of each image.
        optimiser: ``adamw`` or ``sgd``; empty takes the settings'.
    """

    name: str
    groups: tuple[ParameterGroup, ...]
    train_modules: tuple[nn.Module, ...]
    epochs: int = 0
    views: int = 1
    optimiser: str = ""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """Position of the training.

    Attributes:
        stage: the stage's name.
        epoch: number of the pass, from 0.
        step_index: optimiser steps taken in this stage, from 0.
        total_steps: optimiser steps of this stage.
        learning_rate: the learning rate of this step.
    """

    stage: str
    epoch: int
    step_index: int
    total_steps: int
    learning_rate: float

    @property
    def progress(self) -> float:
        """From 0 at the first step to 1 at the last."""
        return self.step_index / max(self.total_steps - 1, 1)


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """How to predict.

    Attributes:
        class_indices: task-incremental: only these columns compete; empty: class-incremental, all compete.
        with_embedding: also return the pooled features.
    """

    class_indices: tuple[int, ...] = ()
    with_embedding: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions for [N, C, H, W] images; outputs that the task does not have are none.

    Attributes:
        logits: [N, K] over the model's label space; minus infinity where a column does not compete.
        mask_logits: [N, classes, H, W] logits per pixel.
        log_risk: [N] log-risk.
        embedding: [N, F].
    """

    logits: Tensor | None = None
    mask_logits: Tensor | None = None
    log_risk: Tensor | None = None
    embedding: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """Feature maps that an answer reads.

    Attributes:
        name: unique in a method, and the same in all its versions.
        features: [N, C, h, w].
        learns: whether later updates change the weights behind the maps; frozen ones retain their maps by construction.
    """

    name: str
    features: Tensor
    learns: bool


class Method(ABC, Generic[Options]):
    """A method of continual learning. One file each; see ``finetune`` for the shortest.

    Attributes:
        name: set by ``register``.
        capabilities: what it can do and needs.
        options_class: its frozen configuration class, set by ``register``.
        notes: facts that readers of its results must know.
    """

    name: ClassVar[str]
    capabilities: ClassVar[MethodCapabilities] = MethodCapabilities()
    options_class: ClassVar[type]
    notes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Options, spec: NetworkSettings, seed: int) -> None:
        self.options = options
        self.network = self.build(spec, seed)

    def build(self, spec: NetworkSettings, seed: int) -> nn.Module:
        """Returns the network at its random start; its weights depend on ``spec`` and ``seed`` alone."""
        return Classifier(spec, seed)

    @abstractmethod
    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Prepares for a task and returns its stages; an empty list for a method in closed form.

        Called again when training resumes: it must depend on the base version and the data alone.
        """

    @abstractmethod
    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns named scalar terms; the loop sums them and logs each."""

    def after_step(self, step: TrainingStep) -> None:
        """Applies proximal or moving-average updates, after each optimiser step."""

    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns scalars of the last step that are logged once an epoch and not part of the loss."""
        return {}

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Computes Fisher information, prototypes, statistics, classifier; can run again after the last stage."""

    @abstractmethod
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        """Returns predictions for images [N, C, H, W] in [0, 1], in evaluation mode, without gradients."""

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes what the state has of ``site``: sums, Fisher information, prototypes, stored images.

        Sums are then exactly those of a model that never learned the site. The weights that gradient descent changed
        there stay: they are not unlearned.

        Args:
            site: name of the site.
            kept_columns: the columns of the logits that another site taught too, sorted; the others are removed.
        """
        raise NotImplementedError(f"method {self.name} cannot remove a site; this is a fault of the method's code")

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns everything that the answer to images [N, C, H, W] reads; nothing where no map can explain it.

        The caller has set evaluation mode. ``answer_from`` these features are the logits of ``predict``.
        """
        return ()

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the answer's logits [N, K], differentiable in the features of each branch, in their order."""
        raise NotImplementedError(f"method {self.name!r} has no explained features")

    def state_dict(self) -> StateDict:
        """Returns all state of the next update, by ``part/name``."""
        return {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores what ``state_dict`` returned; ignores parts of other methods.

        Args:
            state: ``part/name`` -> tensor or value.
            class_count: number of columns of the stored head.
        """
        self.resize_head(class_count)
        self.network.load_state_dict(part_tensors(state, "network"))

    def resize_head(self, class_count: int) -> None:
        """Gives the network the shape for ``class_count`` columns, before weights are loaded."""


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """Log of the training loop.

    Attributes:
        epoch_losses: one mapping of mean loss terms per epoch, in order.
        seconds: of training, summed over interruptions.
    """

    epoch_losses: tuple[Mapping[str, float], ...]
    seconds: float


def part_entries(state: Mapping[str, Tensor | object], part: str) -> StateDict:
    """Returns the tensors and values of one part, by their names inside it."""
    prefix = f"{part}/"
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def part_tensors(state: Mapping[str, Tensor | object], part: str) -> dict[str, Tensor]:
    """Returns the tensors of one part, by their names inside it."""
    return {name: value for name, value in part_entries(state, part).items() if isinstance(value, Tensor)}
