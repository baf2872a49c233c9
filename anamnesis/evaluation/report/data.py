"""The data of a report: numbers and digests, nothing per patient, no pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from anamnesis.records import Decision, Evaluation, Metric, Task, UpdateCost, Verdict

SCHEMA = 3
PRIMARY = "Primary"
"""Name of the matrix whose columns show the primary metric of each column's task."""

Scores = tuple[tuple[Metric | None, ...], ...]
"""Rows are updates, columns sites; none where not measured."""


@dataclass(frozen=True, slots=True)
class SiteColumn:
    """A column of the matrices: the frozen test set of a site.

    Attributes:
        site: that holds it.
        task: of the site.
        test_set: its digest.
        modality: of the images that the method reads, ``CT + PT`` where they are several; empty where unknown.
    """

    site: str
    task: Task
    test_set: str
    modality: str = ""


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One update and its result.

    Attributes:
        version: digest of the version that it made.
        site: that it learned.
        base: digest of the version that it started from.
        snapshot: digest of the snapshot that it learned.
        time: of the decision, UTC, ISO 8601.
        decision: of the gate, where there is one.
        promoted: whether the version was promoted, then or later.
        cost: of the training.
        environment: torch, device, instruction set, threads.
        counts: number of studies by split: train, test, reserve, pending, quarantined.
        opened_snapshots: digests of the snapshots that training opened.
        epoch_losses: mean loss terms of each epoch.
        learning_rate: of the version and where it comes from, in words; empty where it has none.
        class_patients: class -> number of training patients of the site; none where it is not published. Empty where
            the site's store is not readable.
    """

    version: str
    site: str
    base: str | None = None
    snapshot: str | None = None
    time: str = ""
    decision: Decision | None = None
    promoted: bool = False
    cost: UpdateCost | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    opened_snapshots: tuple[str, ...] = ()
    epoch_losses: tuple[Mapping[str, float], ...] = ()
    class_patients: Mapping[str, int | None] = field(default_factory=dict)
    learning_rate: str = ""

    @property
    def is_waiting(self) -> bool:
        """Whether a decision is still to come: of evaluations or of a person."""
        waits = (Verdict.AWAIT_APPROVAL, Verdict.AWAIT_EVALUATIONS)
        return not self.promoted and self.decision is not None and self.decision.verdict in waits

    @property
    def is_rejected(self) -> bool:
        """Whether the gate or a person rejected the version, and it was never in use."""
        return not self.promoted and self.decision is not None and self.decision.verdict is Verdict.REJECT


@dataclass(frozen=True, slots=True)
class SaliencyPicture:
    """Where a model looked when it answered on one test image, before and after later updates. It stays at the site.

    Only faithful maps are drawn, see ``is_faithful``. Each panel has the map of the answer that its version gave.

    Attributes:
        site: of the image.
        label: its true class.
        version_before: digest of the version that had just learned the site; empty where its map is not drawn, because
            there is no such earlier version or its maps were not faithful.
        version_after: digest of the version of the last map.
        digest: of the PNG that ``draw_maps`` made.
        answer: the class that ``version_after`` answered, and that its map explains.
        confidence: its probability among the task's classes; none in pictures of earlier releases.
        answer_before: the class that ``version_before`` answered.
    """

    site: str
    label: str
    version_before: str
    version_after: str
    digest: str
    answer: str = ""
    confidence: Decimal | None = None
    answer_before: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the last answer is the true class; in pictures of labels alone, the map is of the true class."""
        return self.answer in ("", self.label)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A decision in the registry's log.

    Attributes:
        number: of the entry.
        kind: ``promote``, ``approve``, ``reject``, ...
        subject: digest of the version.
        author: the person or service account.
        reason: in words.
        time: UTC, ISO 8601.
    """

    number: int
    kind: str
    subject: str
    author: str
    reason: str
    time: str


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model, or one method of a comparison. Made by ``build_model_report``, completed by ``assemble_report``.

    Attributes:
        name: of the model.
        method: registered name of its method.
        columns: the frozen test sets, in the order in which their sites were first learned.
        updates: in order; a hospital may come back, and a rejected update stays in the list.
        matrices: by metric, ``Primary`` first.
        champion: digest of the version in use; empty where there is none.
        baseline: primary score of the random initialisation, by site, where measured.
        continual: by metric, the metrics of continual learning along the champion's lineage.
        saliency_floors: expected IoU of a model without memory, by the source of its map after.
        pictures: see ``SaliencyPicture``.
        warnings: for readers, about this model.
        reference: whether it is an upper bound for comparison, not a candidate for use.
        compared: like ``continual``, over the sites that all models of the report have.
        evaluations: of the version in use and of one that waits for a decision; nothing about fewer than 10 patients.
        configuration: method, options, network and training of the version in use, or of the last one.
        site_bytes: site -> size of what the version keeps for it; empty where the method keeps nothing by site.
        log: promotions, rejections and decisions of people, in order.
    """

    name: str
    method: str
    columns: tuple[SiteColumn, ...]
    updates: tuple[UpdateRow, ...]
    matrices: Mapping[str, Scores]
    champion: str = ""
    baseline: Mapping[str, float] = field(default_factory=dict)
    continual: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    saliency_floors: Mapping[str, float] = field(default_factory=dict)
    pictures: tuple[SaliencyPicture, ...] = ()
    warnings: tuple[str, ...] = ()
    reference: bool = False
    compared: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    configuration: Mapping[str, object] = field(default_factory=dict)
    site_bytes: Mapping[str, int] = field(default_factory=dict)
    log: tuple[LogLine, ...] = ()

    @property
    def waiting(self) -> UpdateRow | None:
        """The newest update that waits for evaluations or for a person, or none."""
        return next((row for row in reversed(self.updates) if row.is_waiting), None)


@dataclass(frozen=True, slots=True)
class ReportData:
    """One or several models in one report.

    Attributes:
        title: of the page.
        created: UTC, ISO 8601.
        models: in the order of the page.
        warnings: for readers, about all models.
        common_sites: the sites that all models learned, with the same test sets; comparisons use these alone.
        schema: of this record.
    """

    title: str
    created: str
    models: tuple[ModelReport, ...]
    warnings: tuple[str, ...] = ()
    common_sites: tuple[str, ...] = ()
    schema: int = SCHEMA
