"""Turns resources into the plain records that the layers below understand. Pure functions."""

from collections.abc import Mapping
from datetime import datetime

from anamnesis.operator.addresses import registry_url, source_url, store_url
from anamnesis.operator.api import Loaded
from anamnesis.operator.api.model import ContinualModel, ContinualModelSpec, GateSpec
from anamnesis.operator.api.site import Site, SiteSpec
from anamnesis.records import (
    Configuration,
    Enforcement,
    LabelsFrom,
    LabelSource,
    NetworkSpec,
    Occasion,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
    Version,
)
from anamnesis.records.timestamps import timestamp
from anamnesis.registry import Approval, GatePolicy, TaskLimits
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest


def task(spec: SiteSpec) -> Task:
    """Returns what is asked on a site."""
    return Task(spec.task.name, TaskType(spec.task.type), spec.task.classes, spec.task.primary_metric)


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


def site_ref(site: Loaded[Site], test_set: str) -> SiteRef:
    """Returns the site as later steps need it."""
    spec = site.resource.spec
    return SiteRef(site.name, store_url(site), task(spec), test_set, spec.modalities[0])


def learned_sites(
    lineage: tuple[tuple[str, Version], ...],
    sites: Mapping[str, Loaded[Site]],
    test_sets: Mapping[str, str],
) -> tuple[SiteRef, ...]:
    """Returns the model's sites that the champion has learned, in the order it did, each with its test set."""
    names = dict.fromkeys(version.site for _, version in lineage if version.site in sites)
    return tuple(site_ref(sites[name], test_sets.get(name, "")) for name in names)


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
        store=store_url(site),
        configuration=configuration(model.resource.spec),
        split_key=split_key,
        base=base,
        sites=learned,
        gate=gate_policy(model.resource.spec.gate),
        who=who,
        stored_images=model.resource.spec.change_plan.stored_images == "Allowed",
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
