"""A training step of a network of the size of pretrained ones, beside the same step in plain PyTorch, in one run.

The loop trains as in an update, with data, augmentation, gradient norms, checkpoints and progress. After each of its
steps a plain step follows on the same images, so that a noisy machine disturbs both alike.
``python -m benchmarks pretrained_step``.
"""

import statistics
import time
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import TaskContext
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, NetworkSettings, Split
from anamnesis.storage import open_store
from anamnesis.training import SplitData, TensorSplit, precision_for, train
from anamnesis.training.checkpoints import Checkpoints
from benchmarks.cost import context_of

NETWORK_SPEC = NetworkSettings("timm/tf_efficientnet_lite0", channels=3, size=(224, 224))
BATCH_SIZE, IMAGES, WARM_UP_STEPS = 16, 192, 2


@dataclass
class PlainTraining:
    """The same network, batches and optimiser in plain PyTorch: what a tutorial does, with the fastest layout.

    Attributes:
        images: [N, C, H, W] a batch.
        classes: [N].
    """

    images: Tensor
    classes: Tensor
    network: Classifier = field(default_factory=lambda: Classifier(NETWORK_SPEC, seed=0, classes=2))

    def __post_init__(self) -> None:
        self.network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-3, fused=True)

    def step(self) -> None:
        """Takes one step."""
        self.optimiser.zero_grad()
        torch.autograd.backward(functional.cross_entropy(self.network(self.images), self.classes))
        self.optimiser.step()


@dataclass
class AlternatingSteps:
    """Takes a plain step after each step of the loop, as its ``Progress``.

    Attributes:
        plain: takes the plain steps.
        loop_seconds: of each step of the loop, with everything since the step before.
        plain_seconds: of each plain step.
    """

    plain: PlainTraining
    loop_seconds: list[float] = field(default_factory=list)
    plain_seconds: list[float] = field(default_factory=list)
    previous_end: float = field(default_factory=time.perf_counter)

    def __call__(self, completed: int, total: int, unit: str) -> None:
        """Is called by the loop after each step."""
        start = time.perf_counter()
        self.loop_seconds.append(start - self.previous_end)
        torch.use_deterministic_algorithms(False)
        self.plain.step()
        torch.use_deterministic_algorithms(True)
        self.previous_end = time.perf_counter()
        self.plain_seconds.append(self.previous_end - start)

    def row(self, name: str) -> dict[str, object]:
        """Returns medians over the steps, and the ratio of the sums; the first steps do not count."""
        loop_seconds, plain_seconds = self.loop_seconds[WARM_UP_STEPS:], self.plain_seconds[WARM_UP_STEPS:]
        ratios = [ours / theirs for ours, theirs in zip(loop_seconds, plain_seconds, strict=True)]
        return {
            "step": name,
            "steps": len(ratios),
            "ms": 1e3 * statistics.median(loop_seconds),
            "plain ms": 1e3 * statistics.median(plain_seconds),
            "over plain, median": statistics.median(ratios),
            "over plain, whole run": sum(loop_seconds) / sum(plain_seconds),
            "slowest step over plain": max(ratios),
        }


def training_context(epochs: int, *, augments: bool) -> TaskContext:
    """Returns the context of a first task."""
    context = context_of(0)
    settings = replace(
        context.settings, epochs=epochs, batch_size=BATCH_SIZE, augment=augments, precision="float32", threads=1
    )
    return replace(context, settings=settings)


def make_split() -> TensorSplit:
    """Returns images [N, 3, 224, 224] of noise in two classes."""
    images = torch.rand(IMAGES, 3, *NETWORK_SPEC.size, generator=torch.Generator().manual_seed(0)).half()
    return TensorSplit.of_images(images, torch.arange(IMAGES) % 2, tuple(map(str, range(IMAGES))))


def alternate_training(name: str, context: TaskContext, checkpoints: Checkpoints | None = None) -> dict[str, object]:
    """Returns the row of a whole training."""
    split = make_split()
    precision = precision_for(Configuration("finetune", network=NETWORK_SPEC, training=context.settings), "cpu")
    data = SplitData({Split.TRAIN: split}, context.settings, context.streams, precision)
    method = Finetune(FinetuneOptions(), NETWORK_SPEC, seed=0)
    alternating = AlternatingSteps(PlainTraining(split.images[:BATCH_SIZE].float(), split.classes[:BATCH_SIZE]))
    train(method, context, data, precision, checkpoints=checkpoints, progress=alternating)
    return alternating.row(name)


def run() -> list[dict[str, object]]:
    """Returns a row for an update as it is, and one without augmentation and checkpoints."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        checkpoints = Checkpoints(open_store(folder), "checkpoints/benchmark")
        whole = alternate_training("the loop", training_context(2, augments=True), checkpoints)
    unsaved = alternate_training("without checkpoints", training_context(1, augments=True))
    bare = alternate_training("without augmentation and checkpoints", training_context(1, augments=False))
    return [whole, unsaved, bare]
