"""What a report says, as plain data: numbers and digests, nothing per patient, no pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records import Decision, Metric, Task, UpdateCost

SCHEMA = 1
PRIMARY = "Primary"
"""The matrix in which every column shows its own task's primary metric."""

Scores = tuple[tuple[Metric | None, ...], ...]
"""Rows are updates, columns sites; none where not measured."""


@dataclass(frozen=True, slots=True)
class TestSetColumn:
    """One frozen test set.

    Attributes:
        site: whose it is.
        task: what is asked there.
        test_set: its digest.
        modality: what kind of image, where known.
    """

    site: str
    task: Task
    test_set: str
    modality: str = ""


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One update and what became of it.

    Attributes:
        version: digest of the version that it made.
        site: whose snapshot it learned.
        base: what it was trained from.
        snapshot: digest of what it was trained on.
        time: when it was decided, UTC, ISO 8601.
        decision: the gate's, where there is one.
        promoted: whether it was put into use, then or later.
        cost: of the training.
        environment: torch, device, instruction set, threads.
        counts: studies by what became of them: train, test, reserve, pending, quarantined.
        opened_snapshots: digests of the snapshots that training opened.
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


@dataclass(frozen=True, slots=True)
class SaliencyPicture:
    """Where the model looked on one old image, before and after later updates. The pixels stay at the site.

    Attributes:
        site: whose image.
        label: its true class, the one explained.
        version_before: digest of the version of the map before.
        version_after: digest of the version of the map after.
        digest: of the PNG that ``overlay.before_after`` made.
    """

    site: str
    label: str
    version_before: str
    version_after: str
    digest: str


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model, or one method of a comparison. Made by ``model_report``, completed by ``assemble``.

    Attributes:
        name: of the model.
        method: the registered name of how it learns.
        columns: the frozen test sets, in the order in which their sites were first learned.
        updates: in order; a hospital may come back, and a rejected update stays in the list.
        matrices: by metric, ``Primary`` first.
        champion: digest of the version in use; empty where there is none.
        baseline: primary score of the random initialisation by site, where measured.
        continual: by metric, the metrics of continual learning along the champion's lineage.
        saliency_floors: IoU to be expected without any memory, by what the map after is taken from.
        pictures: see ``Picture``.
        warnings: what a reader must know of this model.
        reference: it is an upper bound for comparison, not a candidate for use.
    """

    name: str
    method: str
    columns: tuple[TestSetColumn, ...]
    updates: tuple[UpdateRow, ...]
    matrices: Mapping[str, Scores]
    champion: str = ""
    baseline: Mapping[str, float] = field(default_factory=dict)
    continual: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    saliency_floors: Mapping[str, float] = field(default_factory=dict)
    pictures: tuple[SaliencyPicture, ...] = ()
    warnings: tuple[str, ...] = ()
    reference: bool = False


@dataclass(frozen=True, slots=True)
class ReportData:
    """One or several models side by side.

    Attributes:
        title: of the page.
        created: UTC, ISO 8601.
        models: in the order to show.
        warnings: what a reader must know of all of them.
        schema: of this record.
    """

    title: str
    created: str
    models: tuple[ModelReport, ...]
    warnings: tuple[str, ...] = ()
    schema: int = SCHEMA
