"""``update``: base version + snapshot + configuration -> version. Killed anywhere and started again, the same."""

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from anamnesis.methods import Method, TaskContext, build_method, method_class
from anamnesis.records import (
    Configuration,
    Cost,
    Progress,
    RefusedError,
    SiteRef,
    Split,
    UpdateRecord,
    Version,
    columns_of,
    digest_bytes,
    digest_json,
    encode,
    encode_object,
    hex_of,
    silent,
)
from anamnesis.registry.update_records import find_update, record_update
from anamnesis.registry.versions import write_version
from anamnesis.snapshots import Guard, open_split, read_manifest
from anamnesis.storage.store import Store, open_store
from anamnesis.training import Checkpoints, RandomStreams, SplitData, TensorSplit, numerics_for, tensors_of, train
from anamnesis.updates.model import Description, Model, blobs_of, load_model
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.version_chain import last_of_site


@dataclass(frozen=True, slots=True)
class Source:
    """A training split that an update opens."""

    site: SiteRef
    snapshot: str


@dataclass(frozen=True, slots=True)
class Update:
    """What ``update`` gave.

    Attributes:
        record: the one that counts.
        reused: an earlier attempt had already finished it.
        epochs: mean loss terms of each epoch; empty when reused.
    """

    record: UpdateRecord
    reused: bool
    epochs: tuple[Mapping[str, float], ...] = ()


def update(
    request: UpdateRequest, snapshot: str, progress: Progress = silent, checkpoint_every: float = 20.0
) -> Update:
    """Trains a candidate version on a site's snapshot, or returns the one that an earlier attempt made.

    Args:
        request: what is asked.
        snapshot: digest of what is learned.
        progress: called per step.
        checkpoint_every: seconds; a kill loses at most the work since the last checkpoint.

    Raises:
        InputError: the base, the task and the configuration do not fit together.
        RefusedError: the snapshot belongs to another site, or training tried to open what it may not.
    """
    store = open_store(request.registry)
    new = Source(_site_ref(request, snapshot), snapshot)
    sources = (*_earlier(request, store), new)
    digest = input_digest(request, sources)
    checkpoints = Checkpoints(store, f"checkpoints/{hex_of(digest)}", checkpoint_every)
    if found := find_update(store, digest):
        checkpoints.clear()  # those of an attempt that was killed as soon as it had recorded its result
        return Update(found, reused=True)
    model = _prepare(request, store)
    record, epochs = _train(request, sources, model, digest, store, checkpoints, progress)
    winner = record_update(store, record)
    checkpoints.clear()
    return Update(winner, reused=winner != record, epochs=epochs)


def input_digest(request: UpdateRequest, sources: tuple[Source, ...]) -> str:
    """Returns the digest of everything that decides what an update gives."""
    return digest_json(
        {
            "schema": 1,
            "base": request.base,
            "site": request.site.name,
            "task": encode(request.site.task),
            "snapshots": [source.snapshot for source in sources],
            "configuration": encode(request.configuration),
        }
    )


def _site_ref(request: UpdateRequest, snapshot: str) -> SiteRef:
    manifest = read_manifest(open_store(request.store), snapshot)
    if manifest.site != request.site.name:
        raise RefusedError(f"snapshot {snapshot} is of site {manifest.site!r}, the update is for {request.site.name!r}")
    return SiteRef(request.site.name, request.store, request.site.task, modality=request.site.modalities[0])


def _earlier(request: UpdateRequest, store: Store) -> tuple[Source, ...]:
    """Returns the earlier sites' snapshots, for a method that declares that it opens them."""
    if not method_class(request.configuration.method).needs.earlier_data or not request.base:
        return ()
    sources = []
    for site in request.sites:
        last = last_of_site(store, request.base, site.name)
        if last and last[1].snapshot and site.name != request.site.name:
            sources.append(Source(site, last[1].snapshot))
    return tuple(sources)


def _prepare(request: UpdateRequest, store: Store) -> Model:
    """Returns the base version, or a random start, ready to learn the request's task."""
    needs = method_class(request.configuration.method).needs
    task = request.site.task
    if task.type not in needs.tasks:
        raise RefusedError(
            f"method {request.configuration.method!r} learns {', '.join(sorted(needs.tasks))}; "
            f"task {task.name!r} is {task.type.value}"
        )
    if needs.stores_exemplars and not request.stored_images:
        raise RefusedError(
            f"method {request.configuration.method!r} keeps real images of patients in every version, and this model's "
            "change plan forbids that; choose another method, or allow it with changePlan.storedImages: Allowed"
        )
    if request.base:
        base = load_model(store, request.base, request.configuration)
    else:
        base = Model(build_method(request.configuration), Description(request.configuration))
    return Model(base.method, base.description.visit(request.site.name, task, request.configuration))


def _train(
    request: UpdateRequest,
    sources: tuple[Source, ...],
    model: Model,
    digest: str,
    store: Store,
    checkpoints: Checkpoints,
    progress: Progress,
) -> tuple[UpdateRecord, tuple[Mapping[str, float], ...]]:
    configuration, labels = request.configuration, model.description.labels
    numerics = numerics_for(configuration)
    streams = RandomStreams(configuration.training.seed, f"{request.site.name}/{len(model.description.visits)}")
    with numerics.applied():
        split, opened = read_sources(sources, labels, configuration)
        data = SplitData({Split.TRAIN: split}, configuration.training, streams, numerics)
        context = TaskContext(
            task=request.site.task,
            site=request.site.name,
            labels=labels,
            columns=columns_of(request.site.task, labels),
            earlier=bool(request.base),
            settings=configuration.training,
            streams=streams,
        )
        log = train(model.method, context, data, numerics, checkpoints, progress)
    blobs = blobs_of(model.method, model.description)
    version = Version(
        base=request.base or None,
        snapshot=sources[-1].snapshot,
        site=request.site.name,
        configuration=encode_object(configuration),
        parts={part: digest_bytes(blob) for part, blob in blobs.items()},
    )
    write_version(store, version, blobs)
    cost = Cost(round(log.seconds, 3), peak_memory(model.method), sum(map(len, blobs.values())))
    return UpdateRecord(digest, version.digest, numerics.environment(), cost, opened), log.epochs


def read_sources(
    sources: tuple[Source, ...], labels: tuple[str, ...], configuration: Configuration
) -> tuple[TensorSplit, tuple[str, ...]]:
    """Reads the training splits that an update may open, and nothing else.

    Returns:
        The samples of all sources, and the digests that were opened.
    """
    guard = Guard({source.snapshot: frozenset({Split.TRAIN}) for source in sources})
    splits = [
        tensors_of(
            open_split(open_store(source.site.store), source.snapshot, Split.TRAIN, guard),
            source.site.task,
            source.site.modality,
            labels,
            configuration.network,
        )
        for source in sources
    ]
    whole = splits[0]
    for split in splits[1:]:
        whole = whole + split
    return whole, tuple(source.snapshot for source in sources)


def peak_memory(method: Method[Any]) -> int:
    """Returns the peak bytes of the device, or of the process where the device is the processor."""
    if next(method.network.parameters()).is_cuda:
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
