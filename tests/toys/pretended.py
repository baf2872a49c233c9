"""What the pods of an update do, without images or training: they leave an outcome in the registry."""

from dataclasses import replace
from decimal import Decimal

from anamnesis.records import (
    Evaluation,
    Metric,
    Outcome,
    OutcomeKind,
    Split,
    Target,
    Version,
    digest_bytes,
    digest_json,
    encode,
    encode_object,
)
from anamnesis.registry import read_outcome, read_version, write_evaluation, write_outcome, write_version
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.storage import Store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.required_tests import all_sites


def digest(text: str) -> str:
    return digest_bytes(text.encode())


def pretend(asked: UpdateRequest, store: Store, own: Store, content: str, patients: int, quality: str) -> None:
    """Does an update, once.

    Args:
        asked: what the run was asked for.
        store: the registry.
        own: the site's.
        content: stands for what lies at the site.
        patients: so many.
        quality: the score of what is learned from it, on every test set.
    """
    occasion = asked.occasion
    assert occasion is not None
    if read_outcome(store, occasion.claim):
        return
    snapshot, configuration = digest(content), digest_json(encode(asked.configuration))
    test_set = issue(own, asked)
    outcome = Outcome(
        occasion,
        asked.site.name,
        asked.base,
        configuration,
        OutcomeKind.CANDIDATE,
        snapshot,
        test_set,
        new_patients=patients,
        counts={"train": patients},
    )
    if patients < occasion.minimum_patients:
        write_outcome(store, replace(outcome, kind=OutcomeKind.TOO_FEW_PATIENTS))
    elif snapshot in lineage_snapshots(store, asked.base):
        write_outcome(store, replace(outcome, kind=OutcomeKind.NO_CHANGE))
    else:
        version = _train(store, asked, snapshot, test_set, quality)
        write_outcome(store, replace(outcome, version=version))


def _train(store: Store, asked: UpdateRequest, snapshot: str, test_set: str, quality: str) -> str:
    blobs = {"weights": f"{asked.base}{snapshot}".encode()}
    parts = {name: digest_bytes(data) for name, data in blobs.items()}
    version = Version(asked.base or None, snapshot, asked.site.name, encode_object(asked.configuration), parts)
    name = write_version(store, version, blobs)
    for site in all_sites(asked, test_set):
        metrics = {site.task.primary_metric: Metric(Decimal(quality), 50)}
        write_evaluation(
            store,
            Evaluation(name, site.name, site.task.name, site.test_set, digest("e"), "forgetting", metrics),
        )
    return name


def issue(store: Store, asked: UpdateRequest) -> str:
    """Freezes a first test set, as an ingest does, of one sample a class."""
    from anamnesis.snapshots.testsets import TestSet, freeze, test_sets

    samples = tuple(sample(asked.site.name, label) for label in range(len(asked.site.task.classes)))
    issued = test_sets(store) or freeze(store, TestSet(1, asked.site.name, asked.site.task, digest("key"), samples))
    return issued[-1].digest


def sample(site: str, label: int) -> SampleRecord:
    name = digest(f"{site} {label}")
    return SampleRecord(name, f"{site}-{label}", name, Split.TEST, {}, Target(index=label))


def lineage_snapshots(store: Store, base: str) -> set[str | None]:
    found: set[str | None] = set()
    while base:
        version = read_version(store, base)
        found.add(version.snapshot)
        base = version.base or ""
    return found
