"""Sets of labelled cases of a site: their labels are in memory, their images are opened where they are needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.methods import method_class
from anamnesis.records import HeldOutSet, SiteRef, Split, Version, digest_json
from anamnesis.snapshots import Guard, SampleRecord, open_calibration_set, open_splits, open_test_set
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS, read_calibration_set
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.snapshots.held_out_sets import find_held_out_patients
from anamnesis.snapshots.sample_assembly import content_digests
from anamnesis.snapshots.testsets import check_task, find_test_set
from anamnesis.snapshots.training_sets import all_contents, find_training_set
from anamnesis.snapshots.withdrawals import read_withdrawn_data
from anamnesis.storage.store import open_store
from anamnesis.training import SplitFormat, TensorSplit, open_split_arrays
from anamnesis.updates.model import VersionDescription


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Labelled cases of a site.

    Attributes:
        site: the site, with its store and its task.
        digest: of the set; it names stored predictions of these cases.
        records: the samples without their pixels, sorted by id.
        open_samples: opens the samples, in the order of ``records``.
    """

    site: SiteRef
    digest: str
    records: tuple[SampleRecord, ...]
    open_samples: Callable[[], OpenedSamples]

    @property
    def patients(self) -> tuple[str, ...]:
        """[N], the pseudonym of the patient of each case."""
        return tuple(record.patient for record in self.records)

    @property
    def attributes(self) -> tuple[Mapping[str, str], ...]:
        """[N], the generalised attributes of each case."""
        return tuple(record.attributes for record in self.records)

    @property
    def positions(self) -> Tensor:
        """[N], the position of the true class among the classes of the task; -1 for a case without a class."""
        indices = (record.target.index if record.target else None for record in self.records)
        return torch.tensor([-1 if index is None else index for index in indices])

    def read_tensors(self, description: VersionDescription) -> TensorSplit:
        """Opens the images, and returns them in the format of a version, as memory-mapped arrays.

        Raises:
            InputError: there are no samples, a sample has no class, or the version does not know the site's task.
        """
        capabilities = method_class(description.configuration.method).capabilities
        split_format = SplitFormat(
            self.site.task,
            capabilities.read_modalities(self.site.modalities),
            labels=description.labels,
            spec=description.configuration.network,
        )
        return open_split_arrays(self.open_samples(), split_format)


def find_test_cases(site: SiteRef) -> CaseSet:
    """Returns the test set of a site.

    Raises:
        RefusedError: the test set was frozen for another task, or for classes in another order.
    """
    store = open_store(site.store)
    test_set = find_test_set(store, site.test_set)
    check_task((test_set,), site.task)
    guard = Guard({site.test_set: frozenset({Split.TEST})})
    return CaseSet(site, site.test_set, test_set.samples, lambda: open_test_set(store, site.test_set, guard))


def find_calibration_cases(site: SiteRef) -> CaseSet | None:
    """Returns the calibration set that is frozen beside the test set of a site, or none."""
    store = open_store(site.store)
    digest = find_test_set(store, site.test_set).calibration
    if not digest:
        return None
    guard, records = Guard({digest: frozenset({Split.CALIBRATION})}), read_calibration_set(store, digest).samples
    return CaseSet(site, digest, records, lambda: open_calibration_set(store, digest, guard))


def find_validation_cases(site: SiteRef, versions: Sequence[Version]) -> CaseSet | None:
    """Returns the validation patients whom the last update of a site held out, without those whom any update learned.

    They are recognised by their images too, because a new split key gives a patient another pseudonym. Patients who
    were withdrawn since are left out.

    Args:
        site: the site.
        versions: those of the evaluated version's chain that learned the site, the newest first.

    Returns:
        None where the site holds out nobody, fewer than ``MINIMUM_PATIENTS`` patients are left, or a version has no
        record of whom it learned.

    Raises:
        InputError: a training set of the site does not exist.
    """
    if not versions or versions[0].snapshot is None or not all(version.training_set for version in versions):
        return None
    store, snapshot = open_store(site.store), versions[0].snapshot
    held_out = find_held_out_patients(store, snapshot)
    if held_out is None or held_out.source is not HeldOutSet.VALIDATION:
        return None
    withdrawn = read_withdrawn_data(store)
    members = [find_training_set(store, version.training_set or "").all_members for version in versions]
    left_out_patients = withdrawn.patients.union(*members)
    left_out_contents = withdrawn.contents.union(*map(all_contents, members))
    records = tuple(
        record
        for record in held_out.records
        if record.target is not None
        and record.patient not in left_out_patients
        and left_out_contents.isdisjoint(content_digests(record))
    )
    if len({record.patient for record in records}) < MINIMUM_PATIENTS:
        return None
    sample_ids = frozenset(record.id for record in records)
    guard = Guard({snapshot: frozenset({Split.VALIDATION})})
    return CaseSet(
        site,
        digest_json({"snapshot": snapshot, "validation": sorted(sample_ids)}),
        records,
        lambda: open_splits(store, snapshot, (Split.VALIDATION,), guard=guard, sample_ids=sample_ids),
    )
