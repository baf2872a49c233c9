"""The report of one or several models: joins what the registry knows with what each site's own store holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anamnesis.evaluation.report import (
    Column,
    ModelReport,
    Picture,
    ReportData,
    UpdateRow,
    assemble,
    model_report,
    report_html,
    report_json,
)
from anamnesis.methods import method_class
from anamnesis.records import AnamnesisError, EntryKind, LogEntry, SiteRef, Version
from anamnesis.registry import Log, fold, list_updates, list_versions, read_evaluations, read_version
from anamnesis.snapshots import read_manifest
from anamnesis.storage import Store, open_store
from anamnesis.updates.saliency_evaluation import read_pictures

_DECISIONS = {EntryKind.PROMOTE, EntryKind.REJECT, EntryKind.SUPERSEDE}
_FLOORS = {"IoURandom": "two unrelated maps", "IoUSameClass": "another image of the same class"}


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to report on.

    Attributes:
        name: of the model.
        method: how it learns.
        registry: URL of its registry.
        sites: with their stores and frozen test sets.
    """

    name: str
    method: str
    registry: str
    sites: tuple[SiteRef, ...]


def write_report(title: str, subjects: Sequence[Subject], folder: Path, created: str) -> Path:
    """Writes ``report.json`` and the self-contained ``report.html``.

    Args:
        title: of the page.
        subjects: models, side by side in this order.
        folder: made where it is not there.
        created: UTC, ISO 8601.

    Returns:
        The page's path.
    """
    report, pictures = gather(title, subjects, created)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(report_json(report))
    page = folder / "report.html"
    page.write_bytes(report_html(report, pictures))
    return page


def gather(title: str, subjects: Sequence[Subject], created: str) -> tuple[ReportData, dict[str, bytes]]:
    """Returns the report's data, and the pictures that are readable here by digest."""
    pictures: dict[str, bytes] = {}
    models = []
    for subject in subjects:
        model, drawn = _report(subject)
        models.append(model)
        pictures |= {picture.digest: png for picture, png in drawn}
    return assemble(title, created, models), pictures


def _report(subject: Subject) -> tuple[ModelReport, tuple[tuple[Picture, bytes], ...]]:
    store = open_store(subject.registry)
    entries = Log(store).entries()
    champion = fold(entries).champion or ""
    updates = _updates(store, subject, entries)
    evaluations = [found for row in updates for found in read_evaluations(store, row.version)]
    columns = [Column(site.name, site.task, site.test_set, site.modality) for site in subject.sites]
    learned = {row.site for row in updates} <= {column.site for column in columns}
    if not learned:  # a retired site, or imported weights: no test set here can judge it
        updates = [row for row in updates if row.site in {column.site for column in columns}]
    drawn = tuple(pair for site in subject.sites if champion for pair in _pictures(site, champion))
    kind = method_class(subject.method)
    floors = {
        words: float(found.metrics[name].value)
        for found in evaluations
        for name, words in _FLOORS.items()
        if name in found.metrics
    }
    kept = champion if champion in {row.version for row in updates} else ""
    model = model_report(subject.name, subject.method, columns, updates, evaluations, kept)
    return (
        replace(
            model,
            warnings=kind.notes,
            reference=kind.needs.earlier_data,
            saliency_floors=floors,
            pictures=tuple(picture for picture, _ in drawn),
        ),
        drawn,
    )


def _updates(store: Store, subject: Subject, entries: Iterable[LogEntry]) -> list[UpdateRow]:
    """Returns every version in the order in which it was first decided, those that wait last."""
    records = {record.version: record for record in list_updates(store)}
    decided: dict[str, LogEntry] = {}
    for decision in (entry for entry in entries if entry.kind in _DECISIONS):
        decided.setdefault(decision.subject, decision)
    promoted = set(fold(entries).promoted)
    sites = {site.name: site for site in subject.sites}
    waiting = [digest for digest in list_versions(store) if digest not in decided]
    rows = []
    for digest in (*decided, *waiting):
        version, record = read_version(store, digest), records.get(digest)
        entry = decided.get(digest)
        rows.append(
            UpdateRow(
                version=digest,
                site=version.site,
                base=version.base,
                snapshot=version.snapshot,
                time=entry.time if entry else "",
                decision=entry.decision if entry else None,
                promoted=digest in promoted,
                cost=record.cost if record else None,
                environment=record.environment if record else {},
                counts=_counts(version, sites.get(version.site)),
                opened=record.opened if record else (),
            )
        )
    return rows


def _counts(version: Version, site: SiteRef | None) -> dict[str, int]:
    """Returns how many studies the snapshot had, where the site's store is readable here."""
    if site is None or version.snapshot is None:
        return {}
    try:
        return read_manifest(open_store(site.store), version.snapshot).counts()
    except AnamnesisError:
        return {}  # another hospital's store: the report shows numbers without it


def _pictures(site: SiteRef, version: str) -> tuple[tuple[Picture, bytes], ...]:
    try:
        return read_pictures(site, version)
    except AnamnesisError:
        return ()
