"""Builds the records of the layers below from resources: settings, sites, requests. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from anamnesis.operator.addresses import RUN_KEY_VARIABLE, registry_url, source_url, store_url, weights_url
from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.gate import TaskGate
from anamnesis.operator.api.model import ContinualModel, ContinualModelSpec
from anamnesis.operator.api.network import NetworkSpec, PatchesSpec, WeightsSpec
from anamnesis.operator.api.site import LabelsSpec, Site, SiteSpec
from anamnesis.records import (
    ChannelRule,
    Configuration,
    Enforcement,
    LabelOrigin,
    LabelSource,
    NetworkSettings,
    PatchSampler,
    PatchSettings,
    PatientOrigin,
    PublicKey,
    SignerRole,
    SigningSettings,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
    UpdateTrigger,
    Version,
    WeightsFormat,
    WeightsSettings,
)
from anamnesis.records.timestamps import format_timestamp
from anamnesis.registry import ApprovalMode, GatePolicy, TaskLimits
from anamnesis.registry.identity import RegistryIdentity
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest


def site_task(spec: SiteSpec) -> Task:
    """Returns the task of a site."""
    return Task(spec.task.name, TaskType(spec.task.type), spec.task.classes, spec.task.primary_metric)


def site_config(site: LoadedResource[Site]) -> SiteConfig:
    """Returns the settings of a site for ingestion."""
    spec = site.resource.spec
    return SiteConfig(
        name=site.name,
        source=source_url(spec, site.folder),
        modalities=spec.modalities,
        task=site_task(spec),
        labels=label_source(spec.labels),
        test_fraction=float(spec.test_fraction),
        maximum_quarantine_share=float(spec.maximum_quarantine_share),
        maximum_shrink_share=float(spec.maximum_shrink_share),
        maximum_studies=spec.maximum_studies,
        maximum_studies_per_patient=spec.maximum_studies_per_patient,
        attributes=spec.attributes,
        body_parts=spec.body_parts,
    )


def label_source(labels: LabelsSpec) -> LabelSource:
    """Returns where the labels of a site are."""
    return LabelSource(
        origin=LabelOrigin(labels.origin),
        manifest=labels.manifest or "",
        ignore=labels.ignore,
        patients=PatientOrigin(labels.patients),
        covariates=labels.covariates,
        ignored_columns=labels.ignored_columns,
    )


def site_ref(site: LoadedResource[Site], test_set: str) -> SiteRef:
    """Returns the reference to a site for the steps after ingestion."""
    spec = site.resource.spec
    return SiteRef(site.name, store_url(site), task=site_task(spec), test_set=test_set, modalities=spec.modalities)


def learned_site_refs(
    lineage: tuple[tuple[str, Version], ...],
    sites: Mapping[str, LoadedResource[Site]],
    test_sets: Mapping[str, str],
) -> tuple[SiteRef, ...]:
    """Returns the model's sites that the champion has learned, in that order, each with its test set."""
    names = dict.fromkeys(version.site for _, version in lineage if version.site in sites)
    return tuple(site_ref(sites[name], test_sets.get(name, "")) for name in names)


def configuration(spec: ContinualModelSpec) -> Configuration:
    """Returns the learning configuration of a model."""
    training = spec.training
    return Configuration(
        method=spec.method.entry.method,
        options=spec.method.options(),
        network=network_settings(spec.network),
        training=TrainingSettings(
            epochs=training.epochs,
            batch_size=training.batch_size,
            learning_rate=None if training.learning_rate is None else float(training.learning_rate),
            optimiser=training.optimiser.lower(),
            weight_decay=float(training.weight_decay),
            augment=training.augmentation == "Enabled",
            seed=training.seed,
            threads=training.threads,
            precision=training.precision.lower(),
        ),
    )


def network_settings(network: NetworkSpec) -> NetworkSettings:
    """Returns the settings of a network; the address of its weights stays as it is."""
    normalisation = network.input.normalisation
    return NetworkSettings(
        type=network.type,
        channels=network.input.channels,
        size=network.input.size,
        options=network.resolved_options(),
        weights=_weights_settings(network.weights) if network.weights else None,
        frozen=network.frozen.lower(),
        batch_statistics=network.batch_statistics.lower(),
        mean=tuple(map(float, normalisation.mean)) if normalisation else (),
        std=tuple(map(float, normalisation.std)) if normalisation else (),
        patches=patch_settings(network.input.patches) if network.input.patches else None,
    )


def patch_settings(patches: PatchesSpec) -> PatchSettings:
    """Returns how the network reads patches of volumes."""
    return PatchSettings(patches.volume, PatchSampler(patches.sampler), patches.per_volume)


def _weights_settings(weights: WeightsSpec) -> WeightsSettings:
    return WeightsSettings(
        url=weights.url,
        sha256=weights.sha256,
        format=WEIGHTS_FORMATS[weights.format],
        mapping=weights.mapping,
        licence=weights.licence,
        channels=ChannelRule(weights.channels.lower()),
    )


WEIGHTS_FORMATS = {
    "Safetensors": WeightsFormat.SAFETENSORS,
    "PyTorch": WeightsFormat.PYTORCH,
    "MONAIBundle": WeightsFormat.MONAI_BUNDLE,
}
"""Format in a resource -> format."""


def located_configuration(model: LoadedResource[ContinualModel]) -> Configuration:
    """Returns the configuration of a model, with the absolute address of its weights."""
    settings = configuration(model.resource.spec)
    weights = settings.network.weights
    if weights is None:
        return settings
    url = weights_url(weights.url, model.folder)
    return replace(settings, network=replace(settings.network, weights=replace(weights, url=url)))


def gate_policy(spec: ContinualModelSpec) -> GatePolicy:
    """Returns the gate's limits."""
    gate = spec.gate
    return GatePolicy(
        floor=gate.floor,
        margin=gate.margin,
        saliency_floor=gate.saliency_floor,
        recall_floor=gate.recall_floor,
        recall_margin=gate.recall_margin,
        site_inferred=gate.site_inferred,
        calibration_error=gate.calibration_error,
        tasks={limits.name: _task_limits(limits) for limits in gate.tasks},
        approval=ApprovalMode[gate.approval.upper()],
        enforcement=Enforcement(gate.enforcement),
        minimum_test_patients=gate.minimum_test_patients,
        site_required=spec.answers.site_required,
    )


def _task_limits(limits: TaskGate) -> TaskLimits:
    return TaskLimits(
        floor=limits.floor,
        ceiling=limits.ceiling,
        margin=limits.margin,
        saliency_floor=limits.saliency_floor,
        recall_floor=limits.recall_floor,
        recall_margin=limits.recall_margin,
        site_inferred=limits.site_inferred,
        calibration_error=limits.calibration_error,
    )


def model_identity(model: LoadedResource[ContinualModel], sites: Iterable[LoadedResource[Site]]) -> RegistryIdentity:
    """Returns the identity that the model gives its registry."""
    metadata, tasks = model.resource.metadata, [site_task(site.resource.spec) for site in sites]
    return RegistryIdentity(
        model=f"{metadata.namespace}/{model.name}" if metadata.namespace else model.name,
        tasks={task.name: task for task in tasks},
        signed=bool(public_keys(model.resource.spec)),
    )


def public_keys(spec: ContinualModelSpec) -> tuple[PublicKey, ...]:
    """Returns the keys whose signatures count; none where records are unsigned."""
    keys = spec.registry.signing.public_keys if spec.registry.signing else ()
    return tuple(PublicKey(key.name, SignerRole(key.role), key.key, key.last_entry) for key in keys)


def run_signing(spec: ContinualModelSpec) -> SigningSettings:
    """Returns how a run that the operator starts signs its records."""
    keys = public_keys(spec)
    return SigningSettings(f"env:{RUN_KEY_VARIABLE}", SignerRole.RUN, keys) if keys else SigningSettings()


def update_request(
    model: LoadedResource[ContinualModel],
    site: LoadedResource[Site],
    *,
    split_key: str,
    base: str,
    learned_sites: tuple[SiteRef, ...],
    author: str,
    trigger: UpdateTrigger | None = None,
    signing: SigningSettings | None = None,
) -> UpdateRequest:
    """Returns one update of ``model`` with the data of ``site``.

    Args:
        model: which model.
        site: whose data is learned.
        split_key: where the split key is.
        base: digest of the version to start from; empty for the first.
        learned_sites: the sites that the base has learned, in that order.
        author: for the registry's log.
        trigger: why an operator starts the update; none on a laptop.
        signing: how the run signs its records; none: with the key that the operator gives it.
    """
    return UpdateRequest(
        model=model.name,
        registry=registry_url(model),
        site=site_config(site),
        store=store_url(site),
        configuration=located_configuration(model),
        split_key=split_key,
        base=base,
        sites=learned_sites,
        gate=gate_policy(model.resource.spec),
        author=author,
        stored_images=model.resource.spec.change_plan.stored_images == "Allowed",
        minimum_patients=model.resource.spec.change_plan.minimum_patients,
        trigger=trigger,
        signing=signing or run_signing(model.resource.spec),
    )


def evaluation_request(
    model: LoadedResource[ContinualModel],
    sites: Mapping[str, LoadedResource[Site]],
    *,
    learned_sites: tuple[SiteRef, ...],
    champion: str,
    split_keys: Mapping[str, str],
    name: str,
    due_at: datetime,
    author: str,
) -> EvaluationRequest:
    """Returns one scheduled evaluation of ``champion`` on all sites that it has learned.

    Args:
        model: which model.
        sites: its sites.
        learned_sites: those that the champion has learned, with their test sets.
        champion: digest of the version.
        split_keys: site -> where its split key is.
        name: of the evaluation.
        due_at: when it was due.
        author: the operator that starts it.
    """
    evaluation_spec = model.resource.spec.evaluation
    return EvaluationRequest(
        name=name,
        model=model.name,
        registry=registry_url(model),
        version=champion,
        sites=tuple((site_config(sites[reference.name]), reference) for reference in learned_sites),
        split_keys={reference.name: split_keys[reference.name] for reference in learned_sites},
        time=format_timestamp(due_at),
        minimum_cases=evaluation_spec.minimum_recent_cases if evaluation_spec else 20,
        signing=run_signing(model.resource.spec),
        author=author,
    )
