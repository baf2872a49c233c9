"""The report of one or several models, from the registries and the sites' own stores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anamnesis.evaluation.report import (
    ModelReport,
    ReportData,
    SaliencyPicture,
    TestSetColumn,
    UpdateRow,
    assemble_report,
    build_model_report,
    report_html,
    report_json,
)
from anamnesis.methods import method_class
from anamnesis.records import AnamnesisError, EntryKind, LogEntry, SigningSettings, SiteRef, Version
from anamnesis.registry import (
    Log,
    build_history,
    describe_withdrawal,
    list_update_records,
    list_versions,
    read_evaluations,
    read_version,
)
from anamnesis.registry.opening import sign_with
from anamnesis.registry.registry_store import signing_of
from anamnesis.registry.signature_verification import warn_about_unverified_entries
from anamnesis.snapshots import read_snapshot_manifest
from anamnesis.storage import Store, open_store
from anamnesis.updates.saliency_pictures import read_pictures

_DECISIONS = {EntryKind.PROMOTE, EntryKind.REJECT, EntryKind.SUPERSEDE}
_FLOORS = {"IoURandom": "two unrelated maps", "IoUSameClass": "another image of the same class"}


@dataclass(frozen=True, slots=True)
class ReportSubject:
    """A model to report on.

    Attributes:
        name: of the model.
        method: registered name of its method.
        registry: URL of its registry.
        sites: with their stores and frozen test sets.
        signing: whose signatures count.
    """

    name: str
    method: str
    registry: str
    sites: tuple[SiteRef, ...]
    signing: SigningSettings = field(default_factory=SigningSettings)


def write_report(title: str, subjects: Sequence[ReportSubject], folder: Path, created: str) -> Path:
    """Writes ``report.json`` and the self-contained ``report.html``.

    Args:
        title: of the page.
        subjects: models, in the order of the page.
        folder: created where it does not exist.
        created: UTC, ISO 8601.

    Returns:
        The page's path.
    """
    report, pictures = collect_report(title, subjects, created)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(report_json(report))
    page = folder / "report.html"
    page.write_bytes(report_html(report, pictures))
    return page


def collect_report(title: str, subjects: Sequence[ReportSubject], created: str) -> tuple[ReportData, dict[str, bytes]]:
    """Returns the report's data, and the readable pictures by digest."""
    pictures: dict[str, bytes] = {}
    models = []
    for subject in subjects:
        model, model_pictures = _report_model(subject)
        models.append(model)
        pictures |= {picture.digest: png for picture, png in model_pictures}
    return assemble_report(title, created, models), pictures


def _report_model(subject: ReportSubject) -> tuple[ModelReport, tuple[tuple[SaliencyPicture, bytes], ...]]:
    store = sign_with(open_store(subject.registry), subject.signing)
    entries = Log(store).entries()
    history = build_history(entries)
    champion = history.champion or ""
    updates = _update_rows(store, subject, entries)
    evaluations = [evaluation for row in updates for evaluation in read_evaluations(store, row.version)]
    columns = [TestSetColumn(site.name, site.task, site.test_set, site.modality) for site in subject.sites]
    covers_learned_sites = {row.site for row in updates} <= {column.site for column in columns}
    if not covers_learned_sites:  # a retired site or imported weights: no test set here
        updates = [row for row in updates if row.site in {column.site for column in columns}]
    readable_pictures = tuple(pair for site in subject.sites if champion for pair in _readable_pictures(site, champion))
    method_type = method_class(subject.method)
    floors = {
        floor_label: float(evaluation.metrics[name].value)
        for evaluation in evaluations
        for name, floor_label in _FLOORS.items()
        if name in evaluation.metrics
    }
    shown_champion = champion if champion in {row.version for row in updates} else ""
    model = build_model_report(
        subject.name, subject.method, columns=columns, updates=updates, evaluations=evaluations, champion=shown_champion
    )
    return (
        replace(
            model,
            warnings=(
                *((f"Do not use this model: {describe_withdrawal(history.withdrawal)}",) if history.withdrawal else ()),
                *warn_about_unverified_entries(entries, signing_of(store)),
                *method_type.notes,
            ),
            reference=method_type.capabilities.opens_earlier_data,
            saliency_floors=floors,
            pictures=tuple(picture for picture, _ in readable_pictures),
        ),
        readable_pictures,
    )


def _update_rows(store: Store, subject: ReportSubject, entries: Iterable[LogEntry]) -> list[UpdateRow]:
    """Returns every version, in the order of the first decisions; versions without a decision are last."""
    records = {record.version: record for record in list_update_records(store)}
    decision_entries: dict[str, LogEntry] = {}
    for decision in (entry for entry in entries if entry.kind in _DECISIONS):
        decision_entries.setdefault(decision.subject, decision)
    promoted = set(build_history(entries).promoted_versions)
    sites = {site.name: site for site in subject.sites}
    undecided_versions = [digest for digest in list_versions(store) if digest not in decision_entries]
    rows = []
    for digest in (*decision_entries, *undecided_versions):
        version, record = read_version(store, digest), records.get(digest)
        entry = decision_entries.get(digest)
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
                counts=_study_counts(version, sites.get(version.site)),
                opened_snapshots=record.opened_snapshots if record else (),
            )
        )
    return rows


def _study_counts(version: Version, site: SiteRef | None) -> dict[str, int]:
    """Returns the number of studies of the snapshot by split, where the site's store is readable here."""
    if site is None or version.snapshot is None:
        return {}
    try:
        return read_snapshot_manifest(open_store(site.store), version.snapshot).count_by_split()
    except AnamnesisError:
        return {}  # another hospital's store: the report leaves the counts out


def _readable_pictures(site: SiteRef, version: str) -> tuple[tuple[SaliencyPicture, bytes], ...]:
    try:
        return read_pictures(site, version)
    except AnamnesisError:
        return ()
