"""The training data of an update: which samples of which snapshots are learned, and who is held out."""

from collections.abc import Sequence
from dataclasses import dataclass

from anamnesis.methods import method_class
from anamnesis.records import TRAINING_SPLITS, Configuration, Progress, SiteRef, Split, ignore_progress
from anamnesis.snapshots import Guard, open_splits, read_snapshot_manifest
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS
from anamnesis.snapshots.held_out_sets import HeldOutPatients, find_held_out_patients, read_learnable_manifest
from anamnesis.snapshots.training_selection import find_sample_ids
from anamnesis.snapshots.training_sets import TrainingSet, find_training_set
from anamnesis.storage.store import Store, open_store
from anamnesis.training import SplitFormat, TensorSplit, open_split_arrays
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.version_chain import last_version_of_site


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """The training data of one site.

    Attributes:
        site: the site, with its store.
        snapshot: digest of the snapshot that has the samples.
        training_set: the patients and images to learn.
        sample_ids: ids of their samples in the snapshot.
        held_out: the patients that the operating point comes from; none where they are too few.
    """

    site: SiteRef
    snapshot: str
    training_set: TrainingSet
    sample_ids: frozenset[str]
    held_out: HeldOutPatients | None

    @classmethod
    def of(cls, site: SiteRef, snapshot: str, training_set: TrainingSet) -> "TrainingSource":
        """Returns the source of a training set of a snapshot."""
        store = open_store(site.store)
        sample_ids = find_sample_ids(read_learnable_manifest(store, snapshot), training_set)
        return cls(site, snapshot, training_set, sample_ids, find_held_out_patients(store, snapshot))

    @property
    def held_out_digest(self) -> str:
        """Digest of the set with the held-out patients; empty where nobody is held out."""
        return self.held_out.digest if self.held_out else ""

    @property
    def holds_out_validation(self) -> bool:
        """Whether its validation patients are held out."""
        return self.held_out is not None and self.held_out.split is Split.VALIDATION


def find_earlier_sources(request: UpdateRequest, store: Store) -> tuple[TrainingSource, ...]:
    """Returns the earlier sites' snapshots, for a method with ``opens_earlier_data``."""
    if not method_class(request.configuration.method).capabilities.opens_earlier_data or not request.base:
        return ()
    sources = []
    for site in request.sites:
        last_version = last_version_of_site(store, request.base, site.name)
        if last_version and site.name != request.site.name:
            version = last_version[1]
            if version.snapshot and version.training_set:
                training_set = find_training_set(open_store(site.store), version.training_set)
                sources.append(TrainingSource.of(site, version.snapshot, training_set))
    return tuple(sources)


def guard_sources(sources: Sequence[TrainingSource]) -> Guard:
    """Returns the guard of an update: it allows the training patients and those who are held out, and nobody else."""
    calibrating = [source.held_out for source in sources if source.held_out and not source.holds_out_validation]
    return Guard(
        {held_out.digest: frozenset({held_out.split}) for held_out in calibrating}
        | {source.snapshot: frozenset(TRAINING_SPLITS) for source in sources}
    )


def read_training_splits(
    sources: tuple[TrainingSource, ...],
    labels: tuple[str, ...],
    configuration: Configuration,
    guard: Guard,
    progress: Progress = ignore_progress,
) -> dict[Split, TensorSplit]:
    """Reads the training patients of an update; the guard refuses all other data.

    Returns:
        The samples of all sources. Validation patients are a split of their own for a method that chooses on them,
        where there are enough. Else they are trained on, unless they are held out.
    """
    chooses = method_class(configuration.method).capabilities.chooses_on_validation
    is_apart = chooses and all(_has_enough_validation(source) for source in sources)
    groups = ((Split.TRAIN,), (Split.VALIDATION,)) if is_apart else (TRAINING_SPLITS,)
    return {
        group[0]: _read_samples(
            sources, group, guard=guard, labels=labels, configuration=configuration, progress=progress
        )
        for group in groups
    }


def _has_enough_validation(source: TrainingSource) -> bool:
    if source.holds_out_validation:
        return True
    manifest = read_snapshot_manifest(open_store(source.site.store), source.snapshot)
    validation_samples = (sample for sample in manifest.samples_of(Split.VALIDATION) if sample.id in source.sample_ids)
    return len({sample.patient for sample in validation_samples}) >= MINIMUM_PATIENTS


def _read_samples(
    sources: tuple[TrainingSource, ...],
    group: Sequence[Split],
    guard: Guard,
    labels: tuple[str, ...],
    configuration: Configuration,
    progress: Progress,
) -> TensorSplit:
    read_modalities = method_class(configuration.method).capabilities.read_modalities
    splits = []
    for source in sources:
        is_held_out = source.holds_out_validation and Split.TRAIN not in group
        sample_ids = None if is_held_out else source.sample_ids
        samples = open_splits(open_store(source.site.store), source.snapshot, group, guard, sample_ids)
        splits.append(
            open_split_arrays(
                samples,
                SplitFormat(
                    source.site.task,
                    read_modalities(source.site.modalities),
                    labels=labels,
                    spec=configuration.network,
                ),
                progress=progress,
            )
        )
    combined_split = splits[0]
    for split in splits[1:]:
        combined_split = combined_split + split
    return combined_split
