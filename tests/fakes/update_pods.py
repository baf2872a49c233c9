"""What the pods of an update do, without images or training: they leave an outcome in the registry."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import (
    CANDIDATE,
    CORRECTED_TEST_LABELS,
    WITHDRAWN,
    Evaluation,
    Metric,
    PairedDifference,
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
from anamnesis.registry.looks import record_look
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
    hold: str = "",
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
        hold: why the update is held, or empty.
    """
    trigger = request.trigger
    assert trigger is not None
    if read_update_result(store, trigger.claim):
        return
    configuration = digest_json(encode(request.configuration.identity))
    test_set = freeze_first_test_set(site_store, request)
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
    if hold:
        held = replace(outcome, kind=UpdateResultKind.SOURCE_SHRANK, hold=hold, masked_counts=(WITHDRAWN,))
        write_update_result(store, held)
    elif patients < trigger.minimum_patients:
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
        configuration=encode_object(request.configuration.identity),
        parts=parts,
    )
    name = write_version(store, version, blobs)
    learned_names = {site.name for site in request.sites}
    for site in tested_sites(request, test_set):
        base = request.base if site.name in learned_names else ""
        if base and not read_evaluations(store, base, {site.test_set}):
            _write_score(store, base, site, quality)
        _write_score(store, name, site, quality, base)
    return name


def _write_score(store: Store, version: str, site: SiteRef, score: str, base: str = "") -> None:
    """Writes an evaluation: all metrics have one score, whose interval is 0.04 wide on each side."""
    value, width, patients = Decimal(score), Decimal("0.04"), 200
    metric = Metric(value, 250, max(value - width, Decimal(0)), min(value + width, Decimal(1)), patients)
    names = (site.task.primary_metric, *map(recall_metric, site.task.classes))
    base_evaluations = read_evaluations(store, base, {site.test_set}) if base else ()
    differences = tuple(
        PairedDifference(base, name, item.metrics[name].value - value, Decimal("0.01"), Decimal(patients), patients)
        for item in base_evaluations
        for name in names
    )
    write_evaluation(
        store,
        Evaluation(
            version,
            site.name,
            task=site.task.name,
            test_set=site.test_set,
            evaluator=digest("e"),
            name="forgetting",
            metrics=dict.fromkeys(names, metric),
            patients=patients,
            differences=differences,
            look=record_look(
                store, site.test_set, version=version, base=read_version(store, version).base or "", purpose=CANDIDATE
            ),
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
