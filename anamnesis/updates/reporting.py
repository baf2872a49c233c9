"""The report of one or several models, from the registries and the sites' own stores."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anamnesis.evaluation.class_recall import hidden_classes
from anamnesis.evaluation.report import (
    LogLine,
    ModelReport,
    ReportData,
    SaliencyPicture,
    SiteColumn,
    UpdateRow,
    assemble_report,
    build_model_report,
    card_html,
    card_markdown,
    model_cards,
    report_html,
    report_json,
)
from anamnesis.methods import method_class
from anamnesis.methods.site_state import site_of_part
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    AnamnesisError,
    Configuration,
    Decision,
    EntryKind,
    InputError,
    LogEntry,
    SigningSettings,
    SiteRef,
    TaskType,
    Version,
    decode,
    encode,
)
from anamnesis.records.metric_names import IOU_RANDOM, IOU_SAME_CLASS
from anamnesis.registry import (
    Log,
    build_history,
    describe_learning_rate,
    describe_withdrawal,
    list_update_records,
    list_versions,
    read_evaluations,
    read_version,
)
from anamnesis.registry.opening import sign_with
from anamnesis.registry.registry_store import signing_of
from anamnesis.registry.signature_verification import warn_about_unverified_entries
from anamnesis.registry.versions import blob_key
from anamnesis.snapshots import read_snapshot_manifest
from anamnesis.snapshots.training_sets import find_training_set
from anamnesis.storage import Store, open_store
from anamnesis.storage.folder import translate_os_errors
from anamnesis.updates.saliency_pictures import read_pictures

_SHOWN_ENTRIES = {
    EntryKind.PROMOTE,
    EntryKind.REJECT,
    EntryKind.APPROVE,
    EntryKind.ROLL_BACK,
    EntryKind.WITHDRAW,
    EntryKind.ISSUE_TEST_SET,
}
DECISION_KINDS = frozenset({EntryKind.PROMOTE, EntryKind.REJECT, EntryKind.SUPERSEDE})
"""Entries of the log that decide on a version."""
_UNSAFE = re.compile("[^A-Za-z0-9._-]")
"""Characters that a file's name does not get."""
_FLOORS = {IOU_RANDOM: "two unrelated maps", IOU_SAME_CLASS: "another image of the same class"}


@dataclass(frozen=True, slots=True)
class ReportSubject:
    """A model to report on.

    Attributes:
        name: of the model.
        method: registered name of its method.
        registry: URL of its registry.
        sites: with their stores and frozen test sets.
        signing: whose signatures count.
        pending: digest of a version without a decision in the log -> what the gate says about it now.
    """

    name: str
    method: str
    registry: str
    sites: tuple[SiteRef, ...]
    signing: SigningSettings = field(default_factory=SigningSettings)
    pending: Mapping[str, Decision] = field(default_factory=dict)


def write_report(title: str, subjects: Sequence[ReportSubject], folder: Path, created: str) -> Path:
    """Writes ``report.json``, the self-contained ``report.html``, and a model card for each model.

    The cards are ``model_card.md`` and ``model_card.html``; of several models, each name has the model's name at its
    end: ``model_card-chest.md``.

    Args:
        title: of the page.
        subjects: models, in the order of the page.
        folder: created where it does not exist.
        created: UTC, ISO 8601.

    Returns:
        The page's path.
    """
    report, pictures = collect_report(title, subjects, created)
    page = folder / "report.html"
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_bytes(report_json(report))
        page.write_bytes(report_html(report, pictures))
        for card in model_cards(report):
            name = "model_card" if len(report.models) == 1 else f"model_card-{_UNSAFE.sub('-', card.name)}"
            (folder / f"{name}.md").write_bytes(card_markdown(card))
            (folder / f"{name}.html").write_bytes(card_html(card))
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
    read_modalities = method_class(subject.method).capabilities.read_modalities
    columns = [
        SiteColumn(site.name, site.task, site.test_set, " + ".join(read_modalities(site.modalities)))
        for site in subject.sites
    ]
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
            configuration=_configuration(store, model),
            site_bytes=_site_bytes(store, model),
            log=tuple(_log_line(entry) for entry in entries if entry.kind in _SHOWN_ENTRIES),
        ),
        readable_pictures,
    )


def _update_rows(store: Store, subject: ReportSubject, entries: Iterable[LogEntry]) -> list[UpdateRow]:
    """Returns every version, in the order of the first decisions; versions without a decision are last."""
    records = {record.version: record for record in list_update_records(store)}
    decision_entries: dict[str, LogEntry] = {}
    for decision in (entry for entry in entries if entry.kind in DECISION_KINDS):
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
                decision=entry.decision if entry else subject.pending.get(digest),
                promoted=digest in promoted,
                cost=record.cost if record else None,
                environment=record.environment if record else {},
                counts=_study_counts(version, sites.get(version.site)),
                opened_snapshots=record.opened_snapshots if record else (),
                epoch_losses=record.epoch_losses if record else (),
                class_patients=_class_patients(version, sites.get(version.site)),
                learning_rate=describe_learning_rate(store, digest, records.values()),
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


def _class_patients(version: Version, site: SiteRef | None) -> dict[str, int | None]:
    """Returns the number of training patients of each class; none where it, or another one, would be below 10.

    Training sets that may differ by fewer than 10 patients have no numbers: two of them would show a patient's class.
    """
    if site is None or version.training_set is None or site.task.type is not TaskType.CLASSIFICATION:
        return {}
    try:
        training_set = find_training_set(open_store(site.store), version.training_set)
    except AnamnesisError:
        return {}  # another hospital's store
    if training_set.minimum_patients < MINIMUM_CELL_PATIENTS:
        return {}
    counts = {name: len(training_set.classes.get(name, {})) for name in site.task.classes}
    hidden = hidden_classes(counts)
    return {name: None if name in hidden else count for name, count in counts.items()}


def _version_in_use(model: ModelReport) -> str:
    """Returns the version in use, or the last one; empty without any."""
    return model.champion or (model.updates[-1].version if model.updates else "")


def _configuration(store: Store, model: ModelReport) -> Mapping[str, object]:
    """Returns the settings of the version in use, with the defaults of its method, as far as this release has it."""
    digest = _version_in_use(model)
    if not digest:
        return {}
    stored = read_version(store, digest).configuration
    try:
        configuration = decode(Configuration, stored, "configuration")
        options: object = decode(method_class(configuration.method).options_class, dict(configuration.options))
    except InputError:
        return stored  # of an earlier release
    return {**stored, "options": encode(options)}


def _site_bytes(store: Store, model: ModelReport) -> dict[str, int]:
    """Returns site -> size of the parts that the version in use keeps for it."""
    digest = _version_in_use(model)
    if not digest:
        return {}
    sizes = {info.key: info.size for info in store.list("blobs/")}
    site_sizes: dict[str, int] = {}
    for part, blob in read_version(store, digest).parts.items():
        if site := site_of_part(part):
            site_sizes[site] = site_sizes.get(site, 0) + sizes.get(blob_key(blob), 0)
    return site_sizes


def _log_line(entry: LogEntry) -> LogLine:
    return LogLine(
        number=entry.number,
        kind=entry.kind.value,
        subject=entry.subject,
        author=entry.author,
        reason=entry.reason,
        time=entry.time,
    )


def _readable_pictures(site: SiteRef, version: str) -> tuple[tuple[SaliencyPicture, bytes], ...]:
    try:
        return read_pictures(site, version)
    except AnamnesisError:
        return ()
