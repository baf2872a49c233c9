"""Turns resources into the plain records that the layers below understand. Pure functions."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from anamnesis.operator.api import Loaded
from anamnesis.operator.api.model import ContinualModel, ContinualModelSpec, GateSpec, SplitKeySpec
from anamnesis.operator.api.site import Site, SiteSpec, Source
from anamnesis.records import (
    Configuration,
    Enforcement,
    InputError,
    LabelsFrom,
    LabelSource,
    NetworkSpec,
    Occasion,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
)
from anamnesis.records.times import timestamp
from anamnesis.registry import Approval, GatePolicy, TaskLimits
from anamnesis.updates.request import EvaluationRequest, UpdateRequest

SPLIT_KEY = "ANAMNESIS_SPLIT_KEY"
"""Environment variable that holds the split key where the model names a Secret."""


def absolute_url(url: str, folder: Path) -> str:
    """Returns ``url`` as ``s3://...`` or ``file:///...``; a relative path starts at ``folder``."""
    if url.startswith(("s3://", "file://")):
        return url.rstrip("/")
    return (folder / url).resolve().as_uri()


def registry_url(model: Loaded[ContinualModel]) -> str:
    """Returns the URL of the model's registry."""
    return absolute_url(model.resource.spec.registry.url, model.folder)


def store_url(site: Loaded[Site], model: Loaded[ContinualModel]) -> str:
    """Returns the URL of the site's own store; by default it lies next to the model's registry.

    Raises:
        InputError: the registry is a whole bucket, so that nothing can lie next to it.
    """
    if site.resource.spec.store:
        return absolute_url(site.resource.spec.store, site.folder)
    registry = registry_url(model)
    if registry.startswith("s3://") and "/" not in registry.removeprefix("s3://"):
        raise InputError(
            f"{site.file}: Site {site.name}: spec.store: must be given; nothing lies next to the bucket {registry}"
        )
    return f"{registry}-sites/{site.name}"


def split_key_reference(model: Loaded[ContinualModel], default: Path) -> str:
    """Returns where the split key is: ``env:NAME`` or ``file:///path``, by default the file ``default``."""
    spec: SplitKeySpec | None = model.resource.spec.split_key
    if spec is None:
        return default.resolve().as_uri()
    if spec.environment is not None:
        return f"env:{spec.environment.name}"
    if spec.secret is not None:
        return f"env:{SPLIT_KEY}"
    return absolute_url(spec.file.path if spec.file else "", model.folder)


def task(spec: SiteSpec) -> Task:
    """Returns what is asked on a site."""
    return Task(spec.task.name, TaskType(spec.task.type), spec.task.classes, spec.task.primary_metric)


def source_url(source: Source, folder: Path | None) -> str:
    """Returns where a site's data arrives, as ``SiteConfig.source`` has it.

    Args:
        source: as its people wrote it.
        folder: what a relative path is relative to; none on a cluster.

    Raises:
        InputError: the path is relative and nothing tells to what.
    """
    if source.s3:
        return source.s3.url.rstrip("/")
    if source.dicomweb:
        return f"dicomweb+{source.dicomweb.url.rstrip('/')}"
    if source.orthanc:
        return f"orthanc+{source.orthanc.url.rstrip('/')}"
    path = source.folder.path if source.folder else ""
    if folder is None and not path.startswith(("/", "file:///")):
        raise InputError(f"spec.source.folder.path: {path!r} is relative; on a cluster only an absolute path is known")
    return absolute_url(path, folder or Path("/"))


def site_config(site: Loaded[Site]) -> SiteConfig:
    """Returns the site as ingestion needs it."""
    spec = site.resource.spec
    return SiteConfig(
        name=site.name,
        source=source_url(spec.source, site.folder),
        modalities=spec.modalities,
        task=task(spec),
        labels=LabelSource(LabelsFrom(spec.labels.origin), spec.labels.manifest or "", spec.labels.ignore),
        test_fraction=float(spec.test_fraction),
        maximum_quarantine_share=float(spec.maximum_quarantine_share),
        maximum_studies=spec.maximum_studies,
        attributes=spec.attributes,
    )


def site_ref(model: Loaded[ContinualModel], site: Loaded[Site], test_set: str) -> SiteRef:
    """Returns the site as later steps need it."""
    spec = site.resource.spec
    return SiteRef(site.name, store_url(site, model), task(spec), test_set, spec.modalities[0])


def configuration(spec: ContinualModelSpec) -> Configuration:
    """Returns how the model learns."""
    network, training = spec.network, spec.training
    height, width = network.input.size
    return Configuration(
        method=spec.method.entry.method,
        options=spec.method.options(),
        network=NetworkSpec(network.name, network.input.channels, (height, width), network.norm.lower(), network.width),
        training=TrainingSettings(
            epochs=training.epochs,
            batch_size=training.batch_size,
            learning_rate=float(training.learning_rate),
            optimiser=training.optimiser.lower(),
            weight_decay=float(training.weight_decay),
            augment=training.augmentation == "Enabled",
            seed=training.seed,
            threads=training.threads,
            precision=training.precision.lower(),
        ),
    )


def gate_policy(spec: GateSpec) -> GatePolicy:
    """Returns the gate's limits."""
    return GatePolicy(
        floor=spec.floor,
        margin=spec.margin,
        saliency_floor=spec.saliency_floor,
        tasks={item.name: TaskLimits(item.floor, item.margin, item.saliency_floor) for item in spec.tasks},
        approval=Approval[spec.approval.upper()],
        enforcement=Enforcement(spec.enforcement),
    )


def update_request(
    model: Loaded[ContinualModel],
    site: Loaded[Site],
    split_key: str,
    base: str,
    learned: tuple[SiteRef, ...],
    who: str,
    occasion: Occasion | None = None,
) -> UpdateRequest:
    """Returns one update of ``model`` with the data of ``site``.

    Args:
        model: which model.
        site: whose data is learned.
        split_key: where the split key is.
        base: digest of the version to start from; empty for the first.
        learned: the sites learned before, in order.
        who: on whose behalf.
        occasion: what made an operator start it; none on a laptop.
    """
    return UpdateRequest(
        model=model.name,
        registry=registry_url(model),
        site=site_config(site),
        store=store_url(site, model),
        configuration=configuration(model.resource.spec),
        split_key=split_key,
        base=base,
        sites=learned,
        gate=gate_policy(model.resource.spec.gate),
        who=who,
        occasion=occasion,
    )


def evaluation_request(
    model: Loaded[ContinualModel],
    sites: Mapping[str, Loaded[Site]],
    learned: tuple[SiteRef, ...],
    champion: str,
    split_key: str,
    name: str,
    due: datetime,
) -> EvaluationRequest:
    """Returns one scheduled evaluation of ``champion`` on every site that it has learned.

    Args:
        model: which model.
        sites: its sites.
        learned: those that the champion has learned, with their test sets.
        champion: digest of the version.
        split_key: where the split key is.
        name: of the evaluation.
        due: when it was due.
    """
    wanted = model.resource.spec.evaluation
    return EvaluationRequest(
        name=name,
        model=model.name,
        registry=registry_url(model),
        version=champion,
        sites=tuple((site_config(sites[reference.name]), reference) for reference in learned),
        split_key=split_key,
        time=timestamp(due),
        minimum_cases=wanted.minimum_recent_cases if wanted else 20,
    )
