"""The protocol between a method of continual learning and the one training loop.

A method defines which parameters learn in which stages, and the loss. It owns neither the loop, nor the optimiser, nor
the device; it gets images only through ``Data``, and reads no file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from anamnesis.methods.feature_cache import FeatureCache
from anamnesis.methods.stage import Stage, TrainingPass, TrainingStep
from anamnesis.networks import Classifier
from anamnesis.records import NetworkSettings, Split, Task, TaskType, TrainingSettings

if TYPE_CHECKING:  # the loop imports this module
    from anamnesis.training.random_streams import RandomStreams

Options = TypeVar("Options")
CLASS, MASK, PROBABILITIES, DAYS, EVENT, PATIENT = "class", "mask", "probabilities", "days", "event", "patient"
"""Keys of ``Batch.targets``."""
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
        several_modalities: takes all modalities of a site as named inputs, and every sample must have each. All other
            methods take the first modality.
        research_only: for comparison in benchmarks only; it has no trainer and no pipeline, and resources refuse it.
    """

    task_types: frozenset[TaskType] = frozenset({TaskType.CLASSIFICATION})
    opens_earlier_data: bool = False
    stores_exemplars: bool = False
    chooses_on_validation: bool = False
    several_modalities: bool = False
    research_only: bool = False

    def read_modalities(self, modalities: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the modalities of a site that the method reads: all, or the first."""
        return modalities if self.several_modalities else modalities[:1]


class Checkpointed(Protocol):
    """Runs long work once, also when the update is killed after it."""

    def __call__(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Returns the tensors that ``compute`` returns, or those that it returned before a kill.

        Args:
            name: unique in the update.
            compute: depends on the weights, the base version and the data alone, and changes none of them; random
                numbers come from streams of its own.
        """


def compute_directly(name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Is the ``Checkpointed`` of an update without checkpoints."""
    return dict(compute())


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
        modalities: the names of the inputs of each batch, in the order of the site.
        checkpointed: runs long work of ``begin_task`` and ``end_task``, such as Fisher information.
        feature_cache: keeps features of the training images that no training changes; none keeps nothing.
    """

    task: Task
    site: str
    labels: tuple[str, ...]
    class_indices: tuple[int, ...]
    other_sites: Mapping[str, tuple[int, ...]]
    is_returning: bool
    settings: TrainingSettings
    streams: RandomStreams
    modalities: tuple[str, ...] = ()
    checkpointed: Checkpointed = compute_directly
    feature_cache: FeatureCache | None = None

    @property
    def other_columns(self) -> tuple[int, ...]:
        """The columns of the logits that another site taught, sorted."""
        return tuple(sorted({column for columns in self.other_sites.values() for column in columns}))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples on the device.

    Attributes:
        inputs: modality -> views, each [N, C, H, W] or [N, C, D, H, W] float32 in [0, 1]; one clean view, or the number
            of augmented ones that the stage has. The views of all modalities have the same random map.
        targets: ``CLASS`` -> [N] columns of the logits, and ``PATIENT`` -> [N] number of the patient in the split; for
            a segmentation ``MASK`` -> [N, ...] class per pixel of the first view; for a prognosis ``DAYS`` -> [N]
            float32 and ``EVENT`` -> [N] bool. A stage's source may add ``PROBABILITIES`` -> [N, K], soft targets.
        sample_indices: [N] positions in the split; those of replayed and generated samples are the source's own.
        clean_images: [N, ...] the first input before its augmentation, of a batch of a split; else none.
    """

    inputs: Mapping[str, tuple[Tensor, ...]]
    targets: Mapping[str, Tensor]
    sample_indices: Tensor
    clean_images: Tensor | None = None

    @property
    def views(self) -> tuple[Tensor, ...]:
        """The views of the first input."""
        return next(iter(self.inputs.values()))

    @property
    def images(self) -> Tensor:
        """The first view of the first input."""
        return self.views[0]

    @property
    def classes(self) -> Tensor:
        """[N] columns of the logits."""
        return self.targets[CLASS]

    @property
    def masks(self) -> Tensor:
        """[N, ...] class per pixel."""
        return self.targets[MASK]


class Data(Protocol):
    """The only access to images. Iterates deterministically."""

    def __call__(self, split: Split, training_pass: TrainingPass | None = None) -> Iterator[Batch]:
        """Yields batches.

        Args:
            split: which split; the guard refuses splits that the update may not open.
            training_pass: shuffled, augmented views of a pass; none: clean images in stored order.
        """

    def count(self, split: Split) -> int:
        """Returns the number of samples of the split."""


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """How to predict.

    Attributes:
        class_indices: task-incremental: only these columns compete; empty: class-incremental, all compete.
        with_embedding: also return the pooled features.
        task: name of the task, where it is known; else empty.
        site: name of the site of the images, where it is known; else empty.
        modalities: names of the inputs, in the order of the site; empty where the method takes one.
        feature_cache: keeps features of the images that no training changes; none keeps nothing.
    """

    class_indices: tuple[int, ...] = ()
    with_embedding: bool = False
    task: str = ""
    site: str = ""
    modalities: tuple[str, ...] = ()
    feature_cache: FeatureCache | None = None


@dataclass(frozen=True, slots=True)
class SurvivalCurves:
    """Probabilities of no event until given times.

    Attributes:
        days: [T], ascending; two or more.
        probabilities: [N, T].
    """

    days: Tensor
    probabilities: Tensor


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions for [N, C, H, W] images; outputs that the task does not have are none.

    Attributes:
        logits: [N, K] over the model's label space; minus infinity where a column does not compete.
        mask_logits: [N, classes, H, W] logits per pixel.
        log_risk: [N] log-risk.
        survival: of each image, where the method gives more than a risk.
        embedding: [N, F].
    """

    logits: Tensor | None = None
    mask_logits: Tensor | None = None
    log_risk: Tensor | None = None
    survival: SurvivalCurves | None = None
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

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Starts the backbone from pretrained tensors; called before the first task and before a state is loaded.

        Args:
            tensors: every tensor of the backbone, by the names of its state.
        """
        self.network.backbone.load_state_dict(tensors)  # type: ignore[union-attr]

    def import_head(self, weight: Tensor, bias: Tensor, site: str) -> None:
        """Takes over the head of a classifier that was trained elsewhere; its features are the mean of the maps.

        Args:
            weight: [K, F] for the K classes of the first task, in their order, on the F pooled features.
            bias: [K].
            site: the site whose task it answers.
        """
        raise NotImplementedError(f"method {self.name} cannot take over a head; this is a fault of the method's code")

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

    def predict_inputs(self, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Prediction:
        """Returns predictions for the images of each modality; a method of several inputs replaces this."""
        return self.predict(next(iter(inputs.values())), request)

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
