"""``run_update``: base version + snapshot + configuration -> version. A killed update gives the same result again."""

import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from anamnesis.methods import Method, TaskContext, method_class
from anamnesis.methods.feature_cache import FeatureCache
from anamnesis.records import (
    Configuration,
    HeldBack,
    LearningRateOrigin,
    OperatingPoint,
    Progress,
    RefusedError,
    SiteRef,
    Split,
    UpdateCost,
    UpdateRecord,
    Version,
    digest_hex,
    digest_json,
    encode,
    encode_object,
    find_class_indices,
    ignore_progress,
)
from anamnesis.registry.opening import open_registry
from anamnesis.registry.update_records import find_update_record, write_update_record
from anamnesis.registry.versions import read_version, write_version
from anamnesis.snapshots import Guard, read_snapshot_manifest
from anamnesis.snapshots.training_selection import choose_training_set
from anamnesis.storage.store import Store, open_store
from anamnesis.training import (
    DEFAULT_PACE,
    CheckpointPace,
    Checkpoints,
    RandomStreams,
    RangeTest,
    SplitData,
    TensorSplit,
    find_learning_rate,
    precision_for,
    train,
)
from anamnesis.training.input_checks import describe_unread_parts
from anamnesis.training.saved_results import SavedResults
from anamnesis.training.split_arrays.rows import SelectedRows
from anamnesis.training.split_arrays.stored_features import open_feature_cache
from anamnesis.updates.answers import compute_outputs
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.loss_curves import publishable_losses, publishable_rate_losses
from anamnesis.updates.model import LoadedModel, load_model, start_model, version_parts
from anamnesis.updates.operating_points import fit_operating_point
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.stored_operating_points import read_operating_points
from anamnesis.updates.training_sources import (
    TrainingSource,
    find_earlier_sources,
    guard_sources,
    read_training_splits,
)
from anamnesis.updates.version_chain import versions_of_site


@dataclass(frozen=True, slots=True)
class UpdateRun:
    """The result of ``run_update``.

    Attributes:
        record: the one in the registry.
        is_reused: whether an earlier attempt made it.
        held_back: how many patients wait until there are enough.
        operating_point: of the learned site; none where too few of its patients could be held out.
        epoch_losses: mean loss terms of each epoch; empty where the record is reused.
        notes: what of the file of weights and of the images is not used, or is converted; empty where the record is
            reused.
    """

    record: UpdateRecord
    is_reused: bool
    held_back: HeldBack
    operating_point: OperatingPoint | None = None
    epoch_losses: tuple[Mapping[str, float], ...] = ()
    notes: tuple[str, ...] = ()


def run_update(
    request: UpdateRequest,
    snapshot: str,
    progress: Progress = ignore_progress,
    checkpoint_pace: CheckpointPace = DEFAULT_PACE,
) -> UpdateRun:
    """Trains a candidate version on a site's snapshot, or returns the version that an earlier attempt made.

    Args:
        request: of the update.
        snapshot: digest of the snapshot to learn.
        progress: called per step.
        checkpoint_pace: time between checkpoints; a kill loses at most the work since the last one.

    Raises:
        InputError: the base, the task and the configuration do not fit together.
        RefusedError: the snapshot belongs to another site, the change plan forbids the method, too few patients may be
            learned, or training tried to open data of another update.
    """
    store = open_registry(request.registry, request.signing)
    site = _site_reference(request, snapshot)
    selection = choose_training_set(open_store(request.store), snapshot, request.minimum_patients)
    new_source = TrainingSource.of(site, snapshot, selection.training_set)
    sources = (*find_earlier_sources(request, store), new_source)
    digest = input_digest(request, sources)
    checkpoints = Checkpoints(store, f"checkpoints/{digest_hex(digest)}", checkpoint_pace)
    if existing_record := find_update_record(store, digest):
        checkpoints.clear()  # of an attempt that was killed right after it had recorded its result
        point = _learned_point(request, store, existing_record)
        return UpdateRun(existing_record, is_reused=True, held_back=selection.held_back, operating_point=point)
    model = _prepare_model(request, store)
    record, epoch_losses = _train_version(
        request, sources, model=model, digest=digest, store=store, checkpoints=checkpoints, progress=progress
    )
    stored_record = write_update_record(store, record)
    checkpoints.clear()
    return UpdateRun(
        stored_record,
        is_reused=stored_record != record,
        held_back=selection.held_back,
        operating_point=_learned_point(request, store, stored_record),
        epoch_losses=epoch_losses,
        notes=tuple(_notes(request, new_source, model)),
    )


def _notes(request: UpdateRequest, source: TrainingSource, model: LoadedModel) -> Iterator[str]:
    for note in model.pretrained.notes if model.pretrained else ():  # none where the registry has the tensors already
        yield f"network.weights: {note}"
    manifest = read_snapshot_manifest(open_store(request.store), source.snapshot)
    samples = [sample for sample in manifest.samples if sample.id in source.sample_ids]
    for modality in model.method.capabilities.read_modalities(request.site.modalities):
        yield from describe_unread_parts(samples, modality, request.configuration.network)


def input_digest(request: UpdateRequest, sources: tuple[TrainingSource, ...]) -> str:
    """Returns the digest of all inputs that determine the result of an update."""
    return digest_json(
        {
            "schema": 3,
            "base": request.base,
            "site": request.site.name,
            "task": encode(request.site.task),
            "snapshots": [source.snapshot for source in sources],
            "training_sets": [source.training_set.digest for source in sources],
            "held_out": [source.held_out_digest for source in sources],
            "configuration": encode(request.configuration.identity),
        }
    )


def _site_reference(request: UpdateRequest, snapshot: str) -> SiteRef:
    manifest = read_snapshot_manifest(open_store(request.store), snapshot)
    if manifest.site != request.site.name:
        raise RefusedError(
            f"snapshot {snapshot} is of site {manifest.site!r}, but the update is of site {request.site.name!r}; start "
            f"the update with a snapshot of site {request.site.name!r}"
        )
    return SiteRef(request.site.name, request.store, request.site.task, modalities=request.site.modalities)


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
        base = start_model(store, request.configuration)
    configuration = request.configuration.identity.inherit_learning_rate(base.description.configuration)
    return replace(base, description=base.description.add_experience(request.site.name, task, configuration))


def _train_version(
    request: UpdateRequest,
    sources: tuple[TrainingSource, ...],
    model: LoadedModel,
    digest: str,
    store: Store,
    checkpoints: Checkpoints,
    progress: Progress,
) -> tuple[UpdateRecord, tuple[Mapping[str, float], ...]]:
    configuration, labels = model.description.configuration, model.description.labels
    precision = precision_for(configuration)
    streams = RandomStreams(configuration.training.seed, f"{request.site.name}/{len(model.description.visits)}")
    rate_test: RangeTest | None = None
    with precision.deterministic_mode():
        guard = guard_sources(sources)
        splits = read_training_splits(sources, labels, configuration, guard, progress)
        data = SplitData(splits, configuration.training, streams, precision, network=configuration.network)
        context = TaskContext(
            task=request.site.task,
            site=request.site.name,
            labels=labels,
            class_indices=find_class_indices(request.site.task, labels),
            other_sites=model.description.columns_of_other_sites(request.site.name),
            is_returning=bool(versions_of_site(store, request.base, request.site.name)),
            settings=configuration.training,
            streams=streams,
            modalities=model.method.capabilities.read_modalities(request.site.modalities),
        )
        if configuration.training.learning_rate is None:
            saved_results = SavedResults(checkpoints, model.method.network)
            rate_test = find_learning_rate(
                model.method, replace(context, checkpointed=saved_results), data, precision, progress
            )
            configuration = configuration.with_learning_rate(rate_test.chosen_rate if rate_test else None)
            context = replace(context, settings=configuration.training)
            model = replace(model, description=replace(model.description, configuration=configuration))
        with open_feature_cache(splits[Split.TRAIN].feature_folder) as feature_cache:
            context = replace(context, feature_cache=feature_cache)
            log = train(model.method, context, data, precision, checkpoints, progress)
            model = learn_site_features(model, sources[-1], splits[Split.TRAIN], feature_cache)
    model = replace(model, operating_points=_fit_points(model, sources, guard))
    parts = version_parts(model)
    version = Version(
        base=request.base or None,
        snapshot=sources[-1].snapshot,
        site=request.site.name,
        configuration=encode_object(configuration.identity),
        parts=parts.digests,
        training_set=sources[-1].training_set.digest,
    )
    write_version(store, version, parts.blobs)
    cost = UpdateCost(round(log.seconds, 3), peak_memory(model.method), sum(map(len, parts.blobs.values())))
    return UpdateRecord(
        input_digest=digest,
        version=version.digest,
        environment=precision.environment(),
        cost=cost,
        opened_snapshots=guard.opened_digests,
        epoch_losses=publishable_losses(log.epoch_losses, sources[-1].training_set),
        learning_rate_losses=publishable_rate_losses(rate_test, sources[-1].training_set),
        learning_rate_origin=_rate_origin(request, configuration, rate_test),
    ), log.epoch_losses


def _rate_origin(
    request: UpdateRequest, configuration: Configuration, rate_test: RangeTest | None
) -> LearningRateOrigin | None:
    if configuration.training.learning_rate is None:
        return None
    if request.configuration.training.learning_rate is not None:
        return LearningRateOrigin.SET
    return LearningRateOrigin.CHOSEN if rate_test else LearningRateOrigin.KEPT


def _learned_point(request: UpdateRequest, store: Store, record: UpdateRecord) -> OperatingPoint | None:
    return read_operating_points(store, read_version(store, record.version)).get(request.site.name)


def _fit_points(model: LoadedModel, sources: tuple[TrainingSource, ...], guard: Guard) -> dict[str, OperatingPoint]:
    """Returns the base's points, with those of the sites whose data the update opens fitted on held-out patients."""
    points = dict(model.operating_points)
    for source in sources:
        points.pop(source.site.name, None)
        if held_out := source.held_out:
            store = open_store(source.site.store)
            open_samples = partial(held_out.open_samples, store, guard)
            cases = CaseSet(source.site, held_out.digest, held_out.records, open_samples)
            split = cases.read_tensors(model.description)
            outputs = compute_outputs(model, split.inputs, split.feature_folder)
            points[source.site.name] = fit_operating_point(
                cases,
                held_out.source,
                outputs=outputs,
                labels=model.description.labels,
                sites=model.site_features.sites,
            )
    return points


def learn_site_features(
    model: LoadedModel, source: TrainingSource, split: TensorSplit, feature_cache: FeatureCache | None = None
) -> LoadedModel:
    """Returns the model with the statistics of the images of ``source`` that were trained on."""
    samples = read_snapshot_manifest(open_store(source.site.store), source.snapshot).samples
    patients = {sample.id: sample.patient for sample in samples if sample.id in source.sample_ids}
    rows = [row for row, sample in enumerate(split.sample_ids) if sample in patients]
    site_patients = [patients[split.sample_ids[row]] for row in rows]
    site_images = SelectedRows(split.images, rows)
    site_features = model.site_features.learn(source.site.name, site_images, site_patients, feature_cache)
    return replace(model, site_features=site_features)


def peak_memory(method: Method[Any]) -> int:
    """Returns the peak memory of the GPU in bytes, or of the process where training runs on the CPU."""
    if next(method.network.parameters()).is_cuda:
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
