"""``run_update``: base version + snapshot + configuration -> version. A killed update gives the same result again."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from anamnesis.methods import Method, TaskContext, build_method, method_class
from anamnesis.records import (
    TRAINING_SPLITS,
    Configuration,
    HeldBack,
    Progress,
    RefusedError,
    SiteRef,
    Split,
    UpdateCost,
    UpdateRecord,
    Version,
    digest_bytes,
    digest_hex,
    digest_json,
    encode,
    encode_object,
    find_class_indices,
    ignore_progress,
)
from anamnesis.registry.opening import open_registry
from anamnesis.registry.update_records import find_update_record, write_update_record
from anamnesis.registry.versions import write_version
from anamnesis.snapshots import Guard, open_splits, read_snapshot_manifest
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS
from anamnesis.snapshots.training_selection import choose_training_set, find_sample_ids
from anamnesis.snapshots.training_sets import TrainingSet, find_training_set
from anamnesis.storage.store import Store, open_store, read_file
from anamnesis.training import (
    Checkpoints,
    RandomStreams,
    SplitData,
    TensorSplit,
    precision_for,
    samples_to_tensors,
    train,
)
from anamnesis.updates.loss_curves import publishable_losses
from anamnesis.updates.model import LoadedModel, VersionDescription, load_model, version_blobs
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.site_features import SiteFeatures
from anamnesis.updates.version_chain import last_version_of_site


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """The training data of one site.

    Attributes:
        site: the site, with its store.
        snapshot: digest of the snapshot that has the samples.
        training_set: the patients and images to learn.
        sample_ids: ids of their samples in the snapshot.
    """

    site: SiteRef
    snapshot: str
    training_set: TrainingSet
    sample_ids: frozenset[str]

    @classmethod
    def of(cls, site: SiteRef, snapshot: str, training_set: TrainingSet) -> "TrainingSource":
        """Returns the source of a training set of a snapshot."""
        manifest = read_snapshot_manifest(open_store(site.store), snapshot)
        return cls(site, snapshot, training_set, find_sample_ids(manifest, training_set))


@dataclass(frozen=True, slots=True)
class UpdateRun:
    """The result of ``run_update``.

    Attributes:
        record: the one in the registry.
        is_reused: whether an earlier attempt made it.
        held_back: how many patients wait until there are enough.
        epoch_losses: mean loss terms of each epoch; empty where the record is reused.
    """

    record: UpdateRecord
    is_reused: bool
    held_back: HeldBack
    epoch_losses: tuple[Mapping[str, float], ...] = ()


def run_update(
    request: UpdateRequest, snapshot: str, progress: Progress = ignore_progress, checkpoint_seconds: float = 20.0
) -> UpdateRun:
    """Trains a candidate version on a site's snapshot, or returns the version that an earlier attempt made.

    Args:
        request: of the update.
        snapshot: digest of the snapshot to learn.
        progress: called per step.
        checkpoint_seconds: time between checkpoints; a kill loses at most the work since the last one.

    Raises:
        InputError: the base, the task and the configuration do not fit together.
        RefusedError: the snapshot belongs to another site, the change plan forbids the method, too few patients may be
            learned, or training tried to open data of another update.
    """
    store = open_registry(request.registry, request.signing)
    site = _site_reference(request, snapshot)
    selection = choose_training_set(open_store(request.store), snapshot, request.minimum_patients)
    new_source = TrainingSource.of(site, snapshot, selection.training_set)
    sources = (*_earlier_sources(request, store), new_source)
    digest = input_digest(request, sources)
    checkpoints = Checkpoints(store, f"checkpoints/{digest_hex(digest)}", checkpoint_seconds)
    if existing_record := find_update_record(store, digest):
        checkpoints.clear()  # of an attempt that was killed right after it had recorded its result
        return UpdateRun(existing_record, is_reused=True, held_back=selection.held_back)
    model = _prepare_model(request, store)
    record, epoch_losses = _train_version(
        request, sources, model=model, digest=digest, store=store, checkpoints=checkpoints, progress=progress
    )
    stored_record = write_update_record(store, record)
    checkpoints.clear()
    return UpdateRun(
        stored_record, is_reused=stored_record != record, held_back=selection.held_back, epoch_losses=epoch_losses
    )


def input_digest(request: UpdateRequest, sources: tuple[TrainingSource, ...]) -> str:
    """Returns the digest of all inputs that determine the result of an update."""
    return digest_json(
        {
            "schema": 2,
            "base": request.base,
            "site": request.site.name,
            "task": encode(request.site.task),
            "snapshots": [source.snapshot for source in sources],
            "training_sets": [source.training_set.digest for source in sources],
            "configuration": encode(request.configuration),
        }
    )


def _site_reference(request: UpdateRequest, snapshot: str) -> SiteRef:
    manifest = read_snapshot_manifest(open_store(request.store), snapshot)
    if manifest.site != request.site.name:
        raise RefusedError(
            f"snapshot {snapshot} is of site {manifest.site!r}, but the update is of site {request.site.name!r}; start "
            f"the update with a snapshot of site {request.site.name!r}"
        )
    return SiteRef(request.site.name, request.store, request.site.task, modality=request.site.modalities[0])


def _earlier_sources(request: UpdateRequest, store: Store) -> tuple[TrainingSource, ...]:
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


def _prepare_model(request: UpdateRequest, store: Store) -> LoadedModel:
    """Returns the base version, or a random start, ready to learn the request's task."""
    capabilities = method_class(request.configuration.method).capabilities
    task = request.site.task
    if task.type not in capabilities.task_types:
        raise RefusedError(
            f"method {request.configuration.method!r} supports {', '.join(sorted(capabilities.task_types))}, but task "
            f"{task.name!r} is {task.type.value}; choose another method"
        )
    if capabilities.stores_exemplars and not request.stored_images:
        raise RefusedError(
            f"method {request.configuration.method!r} keeps real images of patients in every version, and the change "
            "plan forbids that; choose another method, or allow it with changePlan.storedImages: Allowed"
        )
    if request.base:
        base = load_model(store, request.base, request.configuration)
    else:
        base = LoadedModel(
            build_method(request.configuration),
            VersionDescription(request.configuration),
            SiteFeatures(request.configuration.network.channels),
        )
    return replace(base, description=base.description.add_experience(request.site.name, task, request.configuration))


def _train_version(
    request: UpdateRequest,
    sources: tuple[TrainingSource, ...],
    model: LoadedModel,
    digest: str,
    store: Store,
    checkpoints: Checkpoints,
    progress: Progress,
) -> tuple[UpdateRecord, tuple[Mapping[str, float], ...]]:
    configuration, labels = request.configuration, model.description.labels
    precision = precision_for(configuration)
    streams = RandomStreams(configuration.training.seed, f"{request.site.name}/{len(model.description.visits)}")
    with precision.deterministic_mode():
        splits, opened = read_training_splits(sources, labels, configuration)
        data = SplitData(splits, configuration.training, streams, precision)
        context = TaskContext(
            task=request.site.task,
            site=request.site.name,
            labels=labels,
            class_indices=find_class_indices(request.site.task, labels),
            has_earlier_tasks=bool(request.base),
            settings=configuration.training,
            streams=streams,
            read_file=read_file,
        )
        log = train(model.method, context, data=data, precision=precision, checkpoints=checkpoints, progress=progress)
        model = learn_site_features(model, sources[-1], splits[Split.TRAIN])
    blobs = version_blobs(model)
    version = Version(
        base=request.base or None,
        snapshot=sources[-1].snapshot,
        site=request.site.name,
        configuration=encode_object(configuration),
        parts={part: digest_bytes(blob) for part, blob in blobs.items()},
        training_set=sources[-1].training_set.digest,
    )
    write_version(store, version, blobs)
    cost = UpdateCost(round(log.seconds, 3), peak_memory(model.method), sum(map(len, blobs.values())))
    return UpdateRecord(
        input_digest=digest,
        version=version.digest,
        environment=precision.environment(),
        cost=cost,
        opened_snapshots=opened,
        epoch_losses=publishable_losses(log.epoch_losses, sources[-1].training_set),
    ), log.epoch_losses


def read_training_splits(
    sources: tuple[TrainingSource, ...], labels: tuple[str, ...], configuration: Configuration
) -> tuple[dict[Split, TensorSplit], tuple[str, ...]]:
    """Reads the training patients of an update; the guard refuses all other data.

    Returns:
        The samples of all sources, and the digests of the opened snapshots. Validation patients are a split of their
        own for a method that chooses on them, where there are enough; else they are in the training split.
    """
    guard = Guard({source.snapshot: frozenset(TRAINING_SPLITS) for source in sources})
    is_held_out = method_class(configuration.method).capabilities.chooses_on_validation and all(
        _has_enough_validation(source) for source in sources
    )
    groups = ((Split.TRAIN,), (Split.VALIDATION,)) if is_held_out else (TRAINING_SPLITS,)
    splits = {
        group[0]: _read_samples(sources, group, guard=guard, labels=labels, configuration=configuration)
        for group in groups
    }
    return splits, tuple(source.snapshot for source in sources)


def _has_enough_validation(source: TrainingSource) -> bool:
    manifest = read_snapshot_manifest(open_store(source.site.store), source.snapshot)
    validation_samples = (sample for sample in manifest.samples_of(Split.VALIDATION) if sample.id in source.sample_ids)
    return len({sample.patient for sample in validation_samples}) >= MINIMUM_PATIENTS


def _read_samples(
    sources: tuple[TrainingSource, ...],
    group: Sequence[Split],
    guard: Guard,
    labels: tuple[str, ...],
    configuration: Configuration,
) -> TensorSplit:
    splits = [
        samples_to_tensors(
            open_splits(open_store(source.site.store), source.snapshot, group, guard, source.sample_ids),
            source.site.task,
            modality=source.site.modality,
            labels=labels,
            spec=configuration.network,
        )
        for source in sources
    ]
    combined_split = splits[0]
    for split in splits[1:]:
        combined_split = combined_split + split
    return combined_split


def learn_site_features(model: LoadedModel, source: TrainingSource, split: TensorSplit) -> LoadedModel:
    """Returns the model with the statistics of the images of ``source`` that were trained on."""
    samples = read_snapshot_manifest(open_store(source.site.store), source.snapshot).samples
    patients = {sample.id: sample.patient for sample in samples if sample.id in source.sample_ids}
    rows = [row for row, sample in enumerate(split.sample_ids) if sample in patients]
    site_patients = [patients[split.sample_ids[row]] for row in rows]
    return replace(model, site_features=model.site_features.learn(source.site.name, split.images[rows], site_patients))


def peak_memory(method: Method[Any]) -> int:
    """Returns the peak memory of the GPU in bytes, or of the process where training runs on the CPU."""
    if next(method.network.parameters()).is_cuda:
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
