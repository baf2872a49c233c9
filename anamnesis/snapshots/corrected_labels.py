"""Labels that the source has corrected since: of a frozen test set, and of the training side."""

from collections.abc import Iterable

from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.testsets import TestSet


def count_corrected_labels(test_set: TestSet, samples: Iterable[SampleRecord]) -> int:
    """Returns how many samples of a frozen test set have another label now, or none."""
    return len(find_corrected_samples(test_set.samples, samples))


def find_corrected_samples(
    earlier_samples: Iterable[SampleRecord], samples: Iterable[SampleRecord]
) -> list[SampleRecord]:
    """Returns the samples that had another label earlier, or one that they lost; a missing sample does not count.

    Args:
        earlier_samples: of a frozen test set, or of the snapshot in force.
        samples: the samples of the site's present data.
    """
    earlier_labels = {sample.id: _label(sample) for sample in earlier_samples}
    return [sample for sample in samples if _label(sample) != earlier_labels.get(sample.id, _label(sample))]


def _label(sample: SampleRecord) -> tuple[object, ...]:
    mask = sample.images.get(sample.target.mask) if sample.target and sample.target.mask else None
    return sample.target, mask.content if mask else ""
