"""Sources of batches for the stages of methods: the training split, batches changed on their way, and no data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from anamnesis.methods.base import Batch, Data
from anamnesis.methods.stage import BatchSource, TrainingPass
from anamnesis.records import Split


def batch_sizes(count: int, batch_size: int) -> list[int]:
    """Returns the sizes of the batches of ``count`` samples.

    A last batch of one sample is added to the one before: batch normalisation cannot learn from one number.
    """
    sizes = [batch_size] * (count // batch_size)
    remainder = count % batch_size
    if remainder == 1 and sizes:
        sizes[-1] += 1
    elif remainder:
        sizes.append(remainder)
    return sizes


@dataclass(frozen=True, slots=True)
class TrainingSplitBatches:
    """The batches of the training split: shuffled, augmented views.

    Attributes:
        data: of the update.
    """

    data: Data

    def __call__(self, training_pass: TrainingPass) -> Iterator[Batch]:
        """Yields the batches of a pass."""
        return self.data(Split.TRAIN, training_pass)

    def batch_count(self, batch_size: int) -> int:
        """Returns the number of batches of a pass."""
        return len(batch_sizes(self.data.count(Split.TRAIN), batch_size))


@dataclass(frozen=True, slots=True)
class ChangedBatches:
    """The batches of another source, each changed: replayed samples behind its own, soft targets beside its classes.

    Attributes:
        source: of the batches.
        change: the batch, the pass and the number of the batch in it to another batch; random draws have these numbers
            in the names of their streams.
    """

    source: BatchSource
    change: Callable[[Batch, TrainingPass, int], Batch]

    def __call__(self, training_pass: TrainingPass) -> Iterator[Batch]:
        """Yields the batches of a pass."""
        for index, batch in enumerate(self.source(training_pass), start=training_pass.first_batch):
            yield self.change(batch, training_pass, index)

    def batch_count(self, batch_size: int) -> int:
        """Returns the number of batches of a pass."""
        return self.source.batch_count(batch_size)


@dataclass(frozen=True, slots=True)
class GeneratedBatches:
    """Batches that a function makes, of a stage without data.

    Attributes:
        generate: the pass and the number of the batch in it to a batch.
        batches_per_pass: number of batches between two lines of the log.
    """

    generate: Callable[[TrainingPass, int], Batch]
    batches_per_pass: int

    def __call__(self, training_pass: TrainingPass) -> Iterator[Batch]:
        """Yields the batches of a pass."""
        for index in range(training_pass.first_batch, self.batches_per_pass):
            yield self.generate(training_pass, index)

    def batch_count(self, batch_size: int) -> int:
        """Returns the number of batches of a pass."""
        return self.batches_per_pass


def join_batches(first: Batch, second: Batch) -> Batch:
    """Returns the samples of both batches in one, with the targets that both have; inputs and views are the same."""
    inputs = {
        name: tuple(torch.cat(pair) for pair in zip(views, second.inputs[name], strict=True))
        for name, views in first.inputs.items()
    }
    targets = {
        name: torch.cat([target, second.targets[name]])
        for name, target in first.targets.items()
        if name in second.targets
    }
    return Batch(inputs, targets, torch.cat([first.sample_indices, second.sample_indices]))
