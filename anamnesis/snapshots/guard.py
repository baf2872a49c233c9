"""The only way to images of a snapshot: guarded, in a fixed order, each compared with its digest."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from anamnesis.records import Image, RefusedError, Sample, Split
from anamnesis.snapshots.manifest import SampleRecord, read_manifest
from anamnesis.snapshots.testsets import find_test_set
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class Guard:
    """Says which images a step may open, and records what it opened.

    Attributes:
        allowed: digest of a snapshot or test set -> the splits that may be opened.
    """

    allowed: Mapping[str, frozenset[Split]]
    _opened: dict[tuple[str, Split], None] = field(default_factory=dict, init=False, repr=False)

    def open(self, digest: str, split: Split) -> None:
        """Records an opening.

        Raises:
            RefusedError: this step may not see that split.
        """
        if split not in self.allowed.get(digest, frozenset()):
            raise RefusedError(f"the split {split.value!r} of {digest} may not be opened by this step")
        self._opened[digest, split] = None

    @property
    def opened(self) -> tuple[str, ...]:
        """Digests that were opened, each once, in order."""
        return tuple(dict.fromkeys(digest for digest, _ in self._opened))


def open_split(
    store: Store, snapshot: str, split: Split, guard: Guard, only: Container[str] | None = None
) -> Iterator[Sample]:
    """Yields the samples of one split of a snapshot, in the order of their ids.

    Args:
        store: the site's own.
        snapshot: digest.
        split: which samples.
        guard: of the step.
        only: ids of the samples to read; none reads all.

    Raises:
        RefusedError: the guard forbids it; before anything is read.
        InputError: there is no such snapshot.
        IntegrityError: stored bytes were changed.
    """
    guard.open(snapshot, split)
    records = read_manifest(store, snapshot).of(split)
    return _samples(store, records if only is None else (one for one in records if one.id in only))


def open_test_set(store: Store, test_set: str, guard: Guard) -> Iterator[Sample]:
    """Yields the samples of a frozen test set, in the order of their ids.

    Raises:
        RefusedError: the guard does not allow ``Split.TEST`` of this test set; before anything is read.
        InputError: there is no such test set, or it was changed.
        IntegrityError: stored bytes were changed.
    """
    guard.open(test_set, Split.TEST)
    return _samples(store, find_test_set(store, test_set).samples)


def _samples(store: Store, records: Iterable[SampleRecord]) -> Iterator[Sample]:
    from anamnesis.snapshots.shards import ShardReader  # brings numpy, which counting samples does not need

    with ShardReader(store) as shards:
        for record in records:
            images = {
                name: Image(shards.read(image.content), image.spacing, image.axes)
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
