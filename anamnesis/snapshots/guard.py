"""Guarded access to the images of a snapshot: in a fixed order, each compared with its digest."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from anamnesis.records import Image, RefusedError, Sample, Split
from anamnesis.snapshots.calibration_sets import read_calibration_set
from anamnesis.snapshots.manifest import SampleRecord, read_snapshot_manifest
from anamnesis.snapshots.testsets import find_test_set
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class Guard:
    """Limits the splits that a step may open, and records those that it opened.

    Attributes:
        allowed_splits: digest of a snapshot or test set -> the splits that the step may open.
    """

    allowed_splits: Mapping[str, frozenset[Split]]
    _openings: dict[tuple[str, Split], None] = field(default_factory=dict, init=False, repr=False)

    def record_opening(self, digest: str, split: Split) -> None:
        """Records an opening.

        Raises:
            RefusedError: the step may not open this split.
        """
        if split not in self.allowed_splits.get(digest, frozenset()):
            raise RefusedError(
                f"this step may not open the split {split.value!r} of {digest}; "
                "this is a fault of the program of the step: report it with the log"
            )
        self._openings[digest, split] = None

    @property
    def opened_digests(self) -> tuple[str, ...]:
        """Digests that were opened, each once, in the order of opening."""
        return tuple(dict.fromkeys(digest for digest, _ in self._openings))


@dataclass(frozen=True, slots=True)
class OpenedSamples:
    """Samples that a guard has allowed: their records now, their pixels one after the other where they are read.

    Attributes:
        store: the site's own store.
        digest: of the snapshot, test set or calibration set that they are in.
        records: the samples without their pixels, sorted by id.
    """

    store: Store
    digest: str
    records: tuple[SampleRecord, ...]

    def __iter__(self) -> Iterator[Sample]:
        """Yields the samples with their pixels, in the order of ``records``.

        Raises:
            IntegrityError: stored bytes were changed.
        """
        return load_samples(self.store, self.records)


def open_split(
    store: Store, snapshot: str, split: Split, guard: Guard, sample_ids: Container[str] | None = None
) -> OpenedSamples:
    """Opens the samples of one split of a snapshot, in the order of their ids.

    Args:
        store: the site's own store.
        snapshot: digest of the snapshot.
        split: the split to read.
        guard: guard of the step.
        sample_ids: ids of the samples to read; none reads all.

    Raises:
        RefusedError: the guard forbids it; raised before anything is read.
        InputError: the snapshot does not exist.
        IntegrityError: stored bytes were changed.
    """
    return open_splits(store, snapshot, (split,), guard=guard, sample_ids=sample_ids)


def open_splits(
    store: Store, snapshot: str, splits: Sequence[Split], guard: Guard, sample_ids: Container[str] | None = None
) -> OpenedSamples:
    """Opens the samples of several splits of a snapshot, in the order of their ids; see ``open_split``."""
    for split in splits:
        guard.record_opening(snapshot, split)
    records = read_snapshot_manifest(store, snapshot).samples_of(*splits)
    chosen = tuple(record for record in records if sample_ids is None or record.id in sample_ids)
    return OpenedSamples(store, snapshot, chosen)


def open_test_set(store: Store, test_set: str, guard: Guard) -> OpenedSamples:
    """Opens the samples of a frozen test set, in the order of their ids.

    Raises:
        RefusedError: the guard does not allow ``Split.TEST`` of this test set; raised before anything is read.
        InputError: the test set does not exist.
        IntegrityError: stored bytes were changed.
    """
    guard.record_opening(test_set, Split.TEST)
    return OpenedSamples(store, test_set, find_test_set(store, test_set).samples)


def open_calibration_set(store: Store, calibration_set: str, guard: Guard) -> OpenedSamples:
    """Opens the samples of a frozen calibration set, in the order of their ids.

    Raises:
        RefusedError: the guard does not allow ``Split.CALIBRATION`` of this set; raised before anything is read.
        InputError: the set does not exist.
        IntegrityError: stored bytes were changed.
    """
    guard.record_opening(calibration_set, Split.CALIBRATION)
    return OpenedSamples(store, calibration_set, read_calibration_set(store, calibration_set).samples)


def load_samples(
    store: Store, records: Sequence[SampleRecord], shard_keys: Mapping[str, str] | None = None
) -> Iterator[Sample]:
    """Yields samples with their pixels; the caller has asked a guard.

    Args:
        store: the site's own store.
        records: of the samples.
        shard_keys: key of the shard of each image, by its content digest; none looks it up.
    """
    from anamnesis.snapshots.shards import ShardReader  # imports numpy, which counting samples does not need

    with ShardReader(store, shard_keys) as shards:
        for record in records:
            images = {
                name: Image(shards.read(image.content), image.spacing, image.axes, image.affine, image.slice_axis)
                for name, image in record.images.items()
            }
            yield Sample(
                id=record.id,
                patient=record.patient,
                study=record.study,
                images=images,
                target=record.target,
                covariates=record.covariates,
                attributes=record.attributes,
            )
