"""Labels of a frozen test set that the source has corrected since."""

from collections.abc import Iterable

from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.testsets import TestSet


def count_corrected_labels(test_set: TestSet, samples: Iterable[SampleRecord]) -> int:
    """Returns how many samples of a test set have another label now, or none; a missing sample does not count.

    Args:
        test_set: the frozen test set.
        samples: the samples of the site's present data.
    """
    frozen_labels = {sample.id: _label(sample) for sample in test_set.samples}
    return sum(_label(sample) != frozen_labels.get(sample.id, _label(sample)) for sample in samples)


def _label(sample: SampleRecord) -> tuple[object, ...]:
    mask = sample.images.get(sample.target.mask) if sample.target and sample.target.mask else None
    return sample.target, mask.content if mask else ""
