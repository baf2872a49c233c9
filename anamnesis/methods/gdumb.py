"""GDumb: each update trains a network from scratch on a class-balanced buffer, and on nothing else.

Prabhu et al., ECCV 2020. It measures how much of a result is due to the buffer alone. Reconstructed under the common
budget: the same number of steps, optimiser and augmentation as all methods here; the authors train 256 passes over the
buffer with cutmix, so ``epochs`` is the option to check.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from anamnesis.methods.base import Batch, Data, MethodCapabilities, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.register import register
from anamnesis.methods.replay.replay_buffer import ReplayBuffer, read_training_images
from anamnesis.methods.stage import Stage, TrainingStep
from anamnesis.networks import GrowingHead
from anamnesis.records import NetworkSettings, Split
from anamnesis.records.option_checks import LARGEST_COUNT, check_bounds, count_between, not_negative
from anamnesis.training.augmentation import Augmentation


@dataclass(frozen=True, slots=True)
class GDumbOptions:
    """Options of ``gdumb``.

    Attributes:
        buffer: number of stored images, equally many of each class.
        epochs: length of the training, in passes over the new site's images; 0 takes the training's.
    """

    buffer: int = count_between(1, LARGEST_COUNT, 200)
    epochs: int = not_negative(0)

    def __post_init__(self) -> None:
        check_bounds("gdumb", self)


@register("gdumb", GDumbOptions)
class GDumb(ClassificationMethod[GDumbOptions]):
    """Cross-entropy on a balanced buffer, from the network's start.

    State: ``buffer.<site>``, with eight-bit images.
    """

    capabilities = MethodCapabilities(stores_exemplars=True, research_only=True)
    notes = ("It stores real images of patients in every version: they leave their hospital with it.",)

    def __init__(self, options: GDumbOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._buffer = ReplayBuffer(options.buffer)
        self._start = copy.deepcopy(self.network.backbone.state_dict())

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Makes ``tensors`` the start of every update."""
        super().load_pretrained(tensors)
        self._start = copy.deepcopy(self.network.backbone.state_dict())

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Replaces the site's images in the buffer, and resets the network to its start."""
        device = self.network.head.weight.device
        self._buffer.to(device)
        self._buffer.remove_site(context.site)
        targets = torch.cat([batch.classes for batch in data(Split.TRAIN)])
        read_images = partial(read_training_images, data)
        self._buffer.balance(targets, read_images, context.site, context.streams.generator("buffer"))
        self.network.backbone.load_state_dict(self._start)
        self.network.head = GrowingHead(self.network.backbone.width_out).to(device)
        self._context = context
        return [replace(stage, epochs=self.options.epochs) for stage in super().begin_task(context, data)]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the cross-entropy on images of the buffer; only the size of the batch is used."""
        generator = self._context.streams.generator("replay", step.stage, step.step_index)
        replayed_samples = self._buffer.draw(len(batch.classes), generator)
        if self._context.settings.augment:
            replayed_samples = replayed_samples.augment(Augmentation(), generator)
        return {"classification": self.cross_entropy(self.network(replayed_samples.images), replayed_samples.targets)}

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the stored images of ``site``; the weights are not unlearned."""
        super().forget_site(site, kept_columns)
        self._buffer.forget_site(site, kept_columns)

    def state_dict(self) -> StateDict:
        """Returns the network and the buffer."""
        return super().state_dict() | self._buffer.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and, where the base version has one, the buffer."""
        super().load_state_dict(state, class_count)
        self._buffer.load_state_dict(state, self.network.head.weight.device)
