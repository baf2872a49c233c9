"""``fnc2_replay``: ``fnc2`` with a class-balanced buffer of real images.

As in Co2L (Cha et al., ICCV 2021), whose recipe the paper follows: each pass shows every stored image once, without
oversampling; stored images are positives and negatives of the new ones, never anchors; old classes shrink evenly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from anamnesis.methods.base import CLASS, Batch, Data, MethodCapabilities, StateDict, TaskContext
from anamnesis.methods.batch_sources import ChangedBatches, TrainingSplitBatches, join_batches
from anamnesis.methods.fnc2 import FNC2, FNC2Options
from anamnesis.methods.register import register
from anamnesis.methods.replay.replay_buffer import ReplayBuffer, read_training_images
from anamnesis.methods.stage import Stage, TrainingPass
from anamnesis.records import InputError, NetworkSettings, Split
from anamnesis.records.option_checks import LARGEST_COUNT, check_bounds, count_between
from anamnesis.training.augmentation import Augmentation


@dataclass(frozen=True, slots=True)
class FNC2ReplayOptions(FNC2Options):
    """Options of ``fnc2_replay``.

    Attributes:
        contrast: the contrastive loss.
        distillation: the distillation of relations.
        projector: the projector, and the class prototypes.
        classifier: the classifier that answers.
        buffer: number of stored images, equally many of each class; at least one for each class.
    """

    buffer: int = count_between(1, LARGEST_COUNT, 200)

    def __post_init__(self) -> None:
        check_bounds("fnc2_replay", self)


@register("fnc2_replay", FNC2ReplayOptions)
class FNC2Replay(FNC2):
    """``fnc2``, and stored images beside the new ones.

    State: that of ``fnc2``, and ``buffer.<site>``, with eight-bit images.
    """

    capabilities = MethodCapabilities(stores_exemplars=True, research_only=True)
    notes = (*FNC2.notes, "It stores real images of patients in every version: they leave their hospital with it.")
    options: FNC2ReplayOptions

    def __init__(self, options: FNC2ReplayOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._buffer = ReplayBuffer(options.buffer)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Takes the site's earlier images out of the buffer, and adds the others to the batches.

        Raises:
            InputError: the buffer has less than one image for each class.
        """
        if self.options.buffer < len(context.labels):
            raise InputError(
                f"fnc2_replay.buffer: expected at least {len(context.labels)}, one image for each class, found "
                f"{self.options.buffer}; raise it, or use fnc2, which stores no image"
            )
        stages = super().begin_task(context, data)
        self._buffer.to(self.network.head.weight.device)
        self._buffer.remove_site(context.site)
        self._context, self._new_batches = context, TrainingSplitBatches(data)
        return [replace(stage, source=ChangedBatches(self._new_batches, self._add_replayed)) for stage in stages]

    def _add_replayed(self, batch: Batch, training_pass: TrainingPass, index: int) -> Batch:
        """Returns a batch with its part of the stored images behind it: all batches of a pass together have each."""
        if not len(self._buffer):
            return batch
        streams, settings = self._context.streams, self._context.settings
        order_generator = streams.generator("replay", training_pass.stage, training_pass.epoch)
        order = torch.randperm(len(self._buffer), generator=order_generator)
        batch_count = self._new_batches.batch_count(training_pass.batch_size)
        first, last = (number * len(order) // batch_count for number in (index, index + 1))
        samples = self._buffer.read(order[first:last])
        generator = streams.generator("replay", "augment", training_pass.stage, training_pass.epoch, index)
        views = tuple(
            (samples.augment(Augmentation(), generator) if settings.augment else samples).images for _ in batch.views
        )
        (name,) = batch.inputs
        replayed_indices = torch.full_like(order[first:last], -1)
        return join_batches(batch, Batch({name: views}, {CLASS: samples.targets}, replayed_indices))

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Stores images of the site, equally many of each class as of the others."""
        super().end_task(context, data)
        self._buffer.remove_site(context.site)
        targets = torch.cat([batch.classes for batch in data(Split.TRAIN)])
        read_images = partial(read_training_images, data)
        self._buffer.balance(targets, read_images, context.site, context.streams.generator("buffer"))

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the stored images of ``site``, and what ``fnc2`` has of it."""
        super().forget_site(site, kept_columns)
        self._buffer.forget_site(site, kept_columns)

    def state_dict(self) -> StateDict:
        """Returns that of ``fnc2``, and the buffer."""
        return super().state_dict() | self._buffer.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores ``fnc2`` and, where the base version has one, the buffer."""
        super().load_state_dict(state, class_count)
        self._buffer.load_state_dict(state, self.network.head.weight.device)
