"""Chooses the patients that an update learns, so that no difference between two versions is one patient.

Some methods publish sums over the images of a class. Anybody who subtracts the sums of two versions gets the sum over
the patients in which their training sets differ. So a site publishes a class only when its set of patients differs from
every set that the site has published before by no patient, or by at least ``minimum_patients`` patients. An added
patient, a removed one and one with other images each count as one. The same holds for all classes together, because
some sums have no classes. Other patients are held back: counted, reported, and learned as soon as there are enough.

A source may export all images again, a little changed: then every patient differs, but hides nobody who came or left at
the same time. So those who came or left are also counted alone, by their pseudonyms.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from anamnesis.records import TRAINING_SPLITS, HeldBack, RefusedError, TaskType, digest_hex, digest_json
from anamnesis.snapshots.held_out_sets import read_learnable_manifest
from anamnesis.snapshots.manifest import SampleRecord, SnapshotManifest
from anamnesis.snapshots.training_sets import (
    Members,
    TrainingSet,
    all_contents,
    list_training_sets,
    write_training_set,
)
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class TrainingSelection:
    """The training set of an update, and what it leaves out.

    Attributes:
        training_set: what the update learns.
        held_back_by_class: class -> number of its patients who wait until there are enough; none for a complete class.
            It stays at the site.
        minimum_patients: how many patients are enough.
    """

    training_set: TrainingSet
    held_back_by_class: Mapping[str, int] = field(default_factory=dict)
    minimum_patients: int = 1

    @property
    def is_learnable(self) -> bool:
        """Whether an update has something to learn: a class, and two where the site's data has two."""
        class_count = len(self.training_set.classes)
        return class_count > 1 or (
            class_count == 1 and not set(self.held_back_by_class) - set(self.training_set.classes)
        )

    @property
    def held_back(self) -> HeldBack:
        """The numbers that may leave the site."""
        return HeldBack(sum(self.held_back_by_class.values()), len(self.held_back_by_class))

    @property
    def held_back_text(self) -> str:
        """What is held back, for people; empty where nothing is."""
        return describe_held_back(self.held_back, self.minimum_patients)


_NOBODY = "nobody with a label is on the training side: lower testFraction, or correct the splits of the source"


def describe_held_back(held_back: HeldBack, minimum_patients: int) -> str:
    """Returns in words what an update holds back; empty where it is nothing."""
    if not held_back.patients:
        return ""
    return (
        f"held back: {held_back.patients} patients of {held_back.classes} classes, until the patients of a class "
        f"differ from those of earlier versions by {minimum_patients} (spec.changePlan.minimumPatients)"
    )


def choose_training_set(store: Store, snapshot: str, minimum_patients: int) -> TrainingSelection:
    """Returns the training set of an update, and records it in the site's own store before anything is trained.

    An update that was killed and is repeated gets the same set.

    Args:
        store: the site's own store.
        snapshot: digest of the snapshot to learn.
        minimum_patients: see the module.

    Raises:
        RefusedError: too few patients of each class.
        IntegrityError: a training set was changed.
    """
    manifest = read_learnable_manifest(store, snapshot)
    while True:
        published_sets = list_training_sets(store)
        selection = _select_for_snapshot(manifest, snapshot, published_sets, minimum_patients)
        if not selection.is_learnable:
            raise RefusedError(
                f"site {manifest.site!r}: too few patients to learn; {selection.held_back_text or _NOBODY}; "
                "wait for more labelled patients, then update again"
            )
        if selection.training_set in published_sets:
            return selection
        recorded_set = replace(selection.training_set, snapshot=snapshot, minimum_patients=minimum_patients)
        if write_training_set(store, len(published_sets) + 1, recorded_set):
            return selection  # else another process published a set first, which counts for this one too


def preview_training_set(store: Store, snapshot: str, minimum_patients: int) -> TrainingSelection:
    """Returns what ``choose_training_set`` would choose now; records nothing."""
    manifest = read_learnable_manifest(store, snapshot)
    return _select_for_snapshot(manifest, snapshot, list_training_sets(store), minimum_patients)


def count_changed_patients(store: Store, snapshot: str, learned_set: TrainingSet) -> int:
    """Returns how many patients of a training set have an image that the snapshot lacks, or has in another class.

    They are withdrawn, held out now, or have corrected labels or other images. Patients whom the source merely no
    longer lists are in the snapshot.
    """
    current_classes = _members_by_class(read_learnable_manifest(store, snapshot))
    changed_patients = {
        patient
        for name, members in learned_set.classes.items()
        for contents in (all_contents(current_classes.get(name, {})),)
        for patient, patient_contents in members.items()
        if not contents.issuperset(patient_contents)
    }
    return len(changed_patients)


def _select_for_snapshot(
    manifest: SnapshotManifest, snapshot: str, published_sets: Sequence[TrainingSet], minimum_patients: int
) -> TrainingSelection:
    """Returns the set that was chosen for the snapshot before a kill, else a new one."""
    for recorded_set in published_sets:
        if (recorded_set.snapshot, recorded_set.minimum_patients) == (snapshot, minimum_patients):
            return _make_selection(_members_by_class(manifest), recorded_set, minimum_patients)
    return select_training_set(manifest, published_sets, minimum_patients)


def select_training_set(
    manifest: SnapshotManifest, published_sets: Sequence[TrainingSet], minimum_patients: int
) -> TrainingSelection:
    """Returns the largest training set of a snapshot that may be published after the earlier ones. Pure."""
    current_classes = _members_by_class(manifest)
    classes = {
        name: select_members(
            members, [earlier.classes[name] for earlier in published_sets if name in earlier.classes], minimum_patients
        )
        for name, members in current_classes.items()
    }
    training_set = _without_empty_classes(manifest.site, classes)
    all_published = [earlier.all_members for earlier in published_sets]
    if not _may_publish(training_set.all_members, all_published, minimum_patients):
        choices = (
            _largest_published(manifest.site, current_classes, published_sets),
            _largest_of_published_patients(manifest.site, classes, published_sets, minimum_patients),
        )
        training_set = max(choices, key=lambda choice: len(all_contents(choice.all_members)))
    return _make_selection(current_classes, training_set, minimum_patients)


def _make_selection(
    current_classes: Mapping[str, Members], training_set: TrainingSet, minimum_patients: int
) -> TrainingSelection:
    held_back_by_class = {
        name: count
        for name, members in current_classes.items()
        if (count := count_differing(members, training_set.classes.get(name, {})))
    }
    return TrainingSelection(training_set, held_back_by_class, minimum_patients)


def select_members(current: Members, published: Sequence[Members], minimum_patients: int) -> Members:
    """Returns the patients of one class that may be published: all, an earlier set, all but a few, or none.

    An earlier set is repeated where no patient of it left and fewer than ``minimum_patients`` are new. Where a patient
    left or was corrected, the earlier sets cannot be repeated: then so many others are left out as well that the
    difference is large enough.
    """
    if _may_publish(current, published, minimum_patients):
        return current
    repeatable = [_restrict(current, contents) for contents in _repeatable_contents(current, published)]
    repeated = max(repeatable, key=lambda members: (len(members), sorted(all_contents(members))), default={})
    if repeated and count_differing(current, repeated) < minimum_patients:
        return repeated
    return max(repeated, _leave_out(current, published, minimum_patients), key=len)


def count_differing(first: Members, second: Members) -> int:
    """Returns the number of patients in whose images two sets differ."""
    differing_patients = {
        patient
        for members, contents in ((first, all_contents(second)), (second, all_contents(first)))
        for patient, patient_contents in members.items()
        if not contents.issuperset(patient_contents)
    }
    return len(differing_patients)


def count_joined_or_left(first: Members, second: Members) -> int:
    """Returns the number of patients whom one set lacks, or of whom it has fewer images; replaced images do not count.

    Patients are compared by their pseudonyms, so this counts too many after a new split key, and never too few.
    """
    pairs = ((set(first.get(patient, ())), set(second.get(patient, ()))) for patient in {*first, *second})
    return sum(images < other_images or other_images < images for images, other_images in pairs)


def _may_publish(members: Members, published: Sequence[Members], minimum_patients: int) -> bool:
    """Whether the difference to every published set, and to no patient at all, is nothing or large enough."""
    return not members or all(_is_none_or_enough(members, earlier, minimum_patients) for earlier in ({}, *published))


def _is_none_or_enough(members: Members, earlier: Members, minimum_patients: int) -> bool:
    differing = count_differing(members, earlier)
    if not differing:
        return True
    joined_or_left = count_joined_or_left(members, earlier)
    return differing >= minimum_patients and not 0 < joined_or_left < minimum_patients


def _repeatable_contents(current: Members, published: Sequence[Members]) -> list[frozenset[str]]:
    """Returns the images of each published set that is still complete."""
    current_contents = all_contents(current)
    return [contents for contents in map(all_contents, published) if contents and contents <= current_contents]


def _restrict(members: Members, contents: Collection[str]) -> Members:
    """Returns the members with these images only."""
    restricted = {
        patient: tuple(content for content in patient_contents if content in contents)
        for patient, patient_contents in members.items()
    }
    return {patient: patient_contents for patient, patient_contents in restricted.items() if patient_contents}


def _leave_out(current: Members, published: Sequence[Members], minimum_patients: int) -> Members:
    """Leaves out patients whom all earlier sets have, in the order of their pseudonyms, until the rest may go."""
    common = frozenset[str].intersection(all_contents(current), *map(all_contents, published))
    names = frozenset(current).intersection(*published)
    order = sorted(
        current, key=lambda patient: (not common.issuperset(current[patient]), patient not in names, patient)
    )
    remaining = dict(current)
    for patient in order[: minimum_patients * (len(published) + 1)]:  # more would not help
        if _may_publish(remaining, published, minimum_patients):
            break
        del remaining[patient]
    return remaining if _may_publish(remaining, published, minimum_patients) else {}


def _largest_published(
    site: str, current_classes: Mapping[str, Members], published_sets: Sequence[TrainingSet]
) -> TrainingSet:
    """Returns the largest earlier training set of which no patient has left; an empty one where there is none."""
    repeatable = [
        _without_empty_classes(
            site,
            {
                name: _restrict(members, all_contents(earlier.classes.get(name, {})))
                for name, members in current_classes.items()
            },
        )
        for earlier in published_sets
        if all(
            all_contents(members) <= all_contents(current_classes.get(name, {}))
            for name, members in earlier.classes.items()
        )
    ]
    return max(
        repeatable,
        key=lambda earlier: (len(all_contents(earlier.all_members)), earlier.digest),
        default=TrainingSet(site, {}),
    )


def _largest_of_published_patients(
    site: str, classes: Mapping[str, Members], published_sets: Sequence[TrainingSet], minimum_patients: int
) -> TrainingSet:
    """Returns the largest set that has the new classes of an earlier set's images; empty where none may be published.

    Labels that were corrected all over a site would else wait for as many new patients as are held back.
    """
    choices = []
    for earlier in published_sets:
        contents = all_contents(earlier.all_members)
        choice = _without_empty_classes(site, {name: _restrict(members, contents) for name, members in classes.items()})
        is_publishable = _may_publish(
            choice.all_members, [published.all_members for published in published_sets], minimum_patients
        ) and all(
            _may_publish(
                members,
                [published.classes[name] for published in published_sets if name in published.classes],
                minimum_patients,
            )
            for name, members in choice.classes.items()
        )
        choices += [choice] if is_publishable else []
    return max(
        choices,
        key=lambda choice: (len(all_contents(choice.all_members)), choice.digest),
        default=TrainingSet(site, {}),
    )


def find_sample_ids(manifest: SnapshotManifest, training_set: TrainingSet) -> frozenset[str]:
    """Returns the ids of the samples of a snapshot that a training set of this snapshot has."""
    contents_by_class = {name: all_contents(members) for name, members in training_set.classes.items()}
    return frozenset(
        sample.id
        for sample in manifest.samples_of(*TRAINING_SPLITS)
        if _content(sample) in contents_by_class.get(_class_name(manifest, sample), frozenset())
    )


def _members_by_class(manifest: SnapshotManifest) -> dict[str, Members]:
    samples: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sample in manifest.samples_of(*TRAINING_SPLITS):
        samples[_class_name(manifest, sample)][sample.patient].append(_content(sample))
    return {
        name: {patient: tuple(sorted(contents)) for patient, contents in patients.items()}
        for name, patients in sorted(samples.items())
    }


def _content(sample: SampleRecord) -> str:
    """Returns a digest of the images of a sample, equal for equal images of any patient."""
    return digest_hex(digest_json({name: image.content for name, image in sample.images.items()}))[:32]


def _class_name(manifest: SnapshotManifest, sample: SampleRecord) -> str:
    is_class = manifest.task.type is TaskType.CLASSIFICATION and sample.target and sample.target.index is not None
    return manifest.task.classes[sample.target.index] if is_class else manifest.task.name  # type: ignore[union-attr,index]


def _without_empty_classes(site: str, classes: Mapping[str, Members]) -> TrainingSet:
    return TrainingSet(site, {name: members for name, members in classes.items() if members})
