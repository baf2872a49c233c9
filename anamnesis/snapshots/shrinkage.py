"""A source that lists much less than before: probably a mistake, such as a lost folder, so the update is held."""

from collections.abc import Collection, Sequence

from anamnesis.records import TRAINING_SPLITS, SiteConfig, TaskType
from anamnesis.snapshots.listings import EarlierSnapshot
from anamnesis.snapshots.manifest import SampleRecord


def describe_shrinkage(
    config: SiteConfig,
    earlier: EarlierSnapshot,
    *,
    gone: Collection[str],
    withdrawn: Collection[str],
    present_samples: Sequence[SampleRecord],
) -> str:
    """Returns why an update is held, in words that may leave the site; empty where it goes on.

    The share is of the training samples that the source listed at the last accepted ingest, without withdrawn ones: a
    rule that drops old files month by month never reaches the limit, and a held ingest does not become the measure of
    the next. Shares and names of classes only: no number of patients.

    Args:
        config: settings of the site.
        earlier: the snapshot in force.
        gone: ids of its training samples that the source does not list now, withdrawn ones excepted.
        withdrawn: ids of its samples that are withdrawn.
        present_samples: the samples that the source lists now.
    """
    limit = config.maximum_shrink_share
    not_counted = {*earlier.listing.unlisted, *withdrawn}
    expected = [
        sample for sample in earlier.samples if sample.split in TRAINING_SPLITS and sample.id not in not_counted
    ]
    if limit >= 1 or not expected:
        return ""
    share = sum(sample.id in gone for sample in expected) / len(expected)
    vanished = _class_names(config, expected) - _class_names(config, present_samples)
    reasons = [f"the source no longer lists {share:.0%} of its earlier training samples"] if share > limit else []
    reasons += [f"the source lists no sample of the class {name!r} any more" for name in sorted(vanished)]
    if not reasons:
        return ""
    return (
        f"{'; '.join(reasons)} (maximumShrinkShare of the Site is {limit:g}). Nothing is forgotten, and nothing is "
        "learned until the files are back; the update then goes on by itself. If they left for good, raise "
        "maximumShrinkShare (1 holds nothing): the earlier samples stay learned"
    )


def _class_names(config: SiteConfig, samples: Sequence[SampleRecord]) -> set[str]:
    if config.task.type is not TaskType.CLASSIFICATION:
        return set()
    return {
        config.task.classes[sample.target.index]
        for sample in samples
        if sample.split in TRAINING_SPLITS and sample.target and sample.target.index is not None
    }
