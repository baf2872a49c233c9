"""The versions that a candidate is compared with at a site, on the same patients."""

from anamnesis.evaluation.paired_differences import CaseTruth, mean_difference, paired_differences
from anamnesis.records import OperatingPoint, PairedDifference, SiteRef, TaskType, Version
from anamnesis.storage.store import Store
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.evaluated_version import EvaluatedVersion
from anamnesis.updates.version_chain import version_chain


def find_references(store: Store, version: Version, site: SiteRef) -> tuple[str, ...]:
    """Returns the digests of a version's base and of the oldest version of the chain that learned a site.

    The first accepted version stays the same through all updates, so that small losses cannot add up unseen.
    """
    if not version.base:
        return ()
    first_learned = [digest for digest, earlier in version_chain(store, version.base) if earlier.site == site.name]
    return tuple(dict.fromkeys((version.base, *first_learned[-1:])))


def compare_versions(
    version: EvaluatedVersion, reference: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
) -> tuple[PairedDifference, ...]:
    """Returns how much lower a version scores than a reference, each at its own operating point.

    Nothing where the reference does not know the task.

    Args:
        version: the version.
        reference: an earlier version.
        cases: of the site's test set.
        point: operating point of the version at the site.
    """
    site, task = cases.site, cases.site.task
    if not reference.description.knows(task):
        return ()
    if task.type is TaskType.SEGMENTATION:
        before, after = reference.dice(cases), version.dice(cases)
        return (mean_difference(reference.digest, "Dice", before=before, after=after, patients=cases.patients),)
    return paired_differences(
        reference.digest,
        before=reference.score(cases, reference.operating_point(site)),
        after=version.score(cases, point),
        truth=CaseTruth(cases.positions, task.classes, cases.patients),
        primary_metric=task.primary_metric,
    )
