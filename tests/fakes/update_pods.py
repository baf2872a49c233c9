"""What the pods of an update do, without images or training: they leave an outcome in the registry."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import (
    CORRECTED_TEST_LABELS,
    Evaluation,
    Metric,
    SiteRef,
    Split,
    Target,
    UpdateResult,
    UpdateResultKind,
    Version,
    digest_bytes,
    digest_json,
    encode,
    encode_object,
    recall_metric,
)
from anamnesis.registry import (
    read_evaluations,
    read_update_result,
    read_version,
    write_evaluation,
    write_update_result,
    write_version,
)
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.testsets import TestSet, freeze_test_set, list_test_sets
from anamnesis.storage import Store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.required_tests import tested_sites


def digest(text: str) -> str:
    return digest_bytes(text.encode())


def simulate_update(
    request: UpdateRequest,
    store: Store,
    site_store: Store,
    content: str,
    patients: int,
    quality: str,
    corrected_labels: int = 0,
    extra_counts: Mapping[str, int] | None = None,
) -> None:
    """Does an update, once.

    Args:
        request: what the run was asked for.
        store: the registry.
        site_store: the site's.
        content: stands for the data of the site.
        patients: so many.
        quality: the score of what is learned from it, on every test set.
        corrected_labels: so many labels of the frozen test set were corrected in the source.
        extra_counts: further counts of the result.
    """
    trigger = request.trigger
    assert trigger is not None
    if read_update_result(store, trigger.claim):
        return
    configuration, test_set = digest_json(encode(request.configuration)), freeze_first_test_set(site_store, request)
    is_first_set = len(list_test_sets(site_store)) == 1
    snapshot = digest(content if is_first_set else f"{content} {test_set}")  # a snapshot names its test set
    outcome = UpdateResult(
        trigger,
        request.site.name,
        base=request.base,
        configuration=configuration,
        kind=UpdateResultKind.CANDIDATE,
        snapshot=snapshot,
        test_set=test_set,
        new_patients=patients,
        counts={"train": patients, CORRECTED_TEST_LABELS: corrected_labels} | dict(extra_counts or {}),
    )
    if patients < trigger.minimum_patients:
        write_update_result(store, replace(outcome, kind=UpdateResultKind.TOO_FEW_PATIENTS))
    elif snapshot == last_snapshot(store, request.base, request.site.name):
        write_update_result(store, replace(outcome, kind=UpdateResultKind.NO_CHANGE))
    else:
        version = _simulate_training(store, request, snapshot=snapshot, test_set=test_set, quality=quality)
        write_update_result(store, replace(outcome, version=version))


def _simulate_training(store: Store, request: UpdateRequest, snapshot: str, test_set: str, quality: str) -> str:
    blobs = {"weights": f"{request.base}{snapshot}".encode()}
    parts = {name: digest_bytes(data) for name, data in blobs.items()}
    version = Version(
        request.base or None,
        snapshot,
        site=request.site.name,
        configuration=encode_object(request.configuration),
        parts=parts,
    )
    name = write_version(store, version, blobs)
    learned_names = {site.name for site in request.sites}
    for site in tested_sites(request, test_set):
        if site.name in learned_names and not read_evaluations(store, request.base, {site.test_set}):
            _write_score(store, request.base, site, quality)
        _write_score(store, name, site, quality)
    return name


def _write_score(store: Store, version: str, site: SiteRef, score: str) -> None:
    recalls = {recall_metric(name): Metric(Decimal(score), 25) for name in site.task.classes}
    metrics = {site.task.primary_metric: Metric(Decimal(score), 50)} | recalls
    write_evaluation(
        store,
        Evaluation(
            version,
            site.name,
            task=site.task.name,
            test_set=site.test_set,
            evaluator=digest("e"),
            name="forgetting",
            metrics=metrics,
            patients=40,
        ),
    )


def freeze_first_test_set(store: Store, request: UpdateRequest) -> str:
    """Freezes a first test set, as an ingest does, of one sample a class."""
    samples = tuple(sample(request.site.name, label) for label in range(len(request.site.task.classes)))
    test_sets_of_site = list_test_sets(store) or freeze_test_set(
        store, TestSet(1, request.site.name, task=request.site.task, key_fingerprint=digest("key"), samples=samples)
    )
    return test_sets_of_site[-1].digest


def sample(site: str, label: int) -> SampleRecord:
    name = digest(f"{site} {label}")
    return SampleRecord(name, f"{site}-{label}", study=name, split=Split.TEST, images={}, target=Target(index=label))


def last_snapshot(store: Store, base: str, site: str) -> str | None:
    """The snapshot of the site that the lineage learned last."""
    while base:
        version = read_version(store, base)
        if version.site == site:
            return version.snapshot
        base = version.base or ""
    return None
