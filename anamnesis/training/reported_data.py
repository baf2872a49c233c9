"""Reports the passes over images after the training: prototypes, Fisher information and sums take minutes."""

from collections.abc import Iterator
from dataclasses import dataclass

from anamnesis.methods.base import Batch, Data
from anamnesis.methods.stage import TrainingPass
from anamnesis.records import Progress, Split


@dataclass(slots=True)
class ReportedData:
    """The ``Data`` of a task that ends; every pass reports its progress.

    Attributes:
        data: of the task.
        progress: is called after each batch.
        passes: begun so far.
    """

    data: Data
    progress: Progress
    passes: int = 0

    def count(self, split: Split) -> int:
        """Returns the number of samples of the split."""
        return self.data.count(split)

    def __call__(self, split: Split, training_pass: TrainingPass | None = None) -> Iterator[Batch]:
        """Yields the batches of ``data``."""
        self.passes += 1
        unit, count, completed = f"images of pass {self.passes} after the training", self.count(split), 0
        for batch in self.data(split, training_pass):
            yield batch
            completed += len(set(batch.sample_indices.tolist()))
            self.progress(min(completed, count), count, unit)
