"""The model card: intended use, data, method, scores, decisions and limits of the version in use, from report data."""

from collections.abc import Sequence
from dataclasses import dataclass

from anamnesis.evaluation.report.assemble import champion_lineage
from anamnesis.evaluation.report.data import ModelReport, ReportData, SiteColumn
from anamnesis.evaluation.report.names import metric_label
from anamnesis.evaluation.report.options import learning_rates, option_rows
from anamnesis.evaluation.report.site_results import SiteResults, site_results
from anamnesis.evaluation.report.statements import model_statement
from anamnesis.records import MINIMUM_CELL_PATIENTS, Metric

MASKED = f"fewer than {MINIMUM_CELL_PATIENTS}, or gives one away"
NOT_MEASURED = "not measured"
_NUMBER_HEADS = ("value", "95 % interval", "patients", "images")


@dataclass(frozen=True, slots=True)
class CardTable:
    """A table of texts: names of the columns, and rows."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class CardSection:
    """A section of the card: its title, sentences, and a table where it has one."""

    title: str
    sentences: tuple[str, ...] = ()
    table: CardTable | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The card of one model."""

    name: str
    summary: str
    sections: tuple[CardSection, ...]


def model_cards(report: ReportData) -> tuple[ModelCard, ...]:
    """Returns the card of each model of a report; upper bounds for comparison have one that says so."""
    return tuple(_card(model, report) for model in report.models)


def _card(model: ModelReport, report: ReportData) -> ModelCard:
    results = _champion_results(model)
    statement = model_statement(model)
    sections = (
        _intended_use(model),
        _data_section(model, results),
        CardSection(
            "Method and options",
            learning_rates(model),
            CardTable(("group", "option", "value"), tuple(option_rows(model))),
        ),
        _score_section(results),
        _operating_section(results),
        _class_section(results),
        _calibration_section(results),
        _subgroup_section(results),
        CardSection("Earlier sites", (f"{statement.headline}.", *statement.details)),
        _decision_section(model),
        _lineage_section(model),
        _unknown_section(model, report, results),
    )
    return ModelCard(model.name, f"{statement.headline}. {statement.details[0]}", _with_content(sections))


def _with_content(sections: Sequence[CardSection]) -> tuple[CardSection, ...]:
    return tuple(item for item in sections if item.sentences or (item.table and item.table.rows))


def _champion_results(model: ModelReport) -> list[SiteResults]:
    rows = champion_lineage(model)
    version = model.updates[rows[-1]].version if rows else ""
    return next((results for digest, results in site_results(model) if digest == version), [])


def _learned_columns(model: ModelReport) -> list[SiteColumn]:
    """Returns the sites that the version in use (or the last one) has learned."""
    sites = {model.updates[row].site for row in champion_lineage(model)}
    return [column for column in model.columns if column.site in sites]


def _intended_use(model: ModelReport) -> CardSection:
    tasks = {column.task.name: column for column in _learned_columns(model)}
    sentences = [
        "Research measurements; not a medical device, and nothing clinical is claimed.",
        *(
            f"Task {name}: {column.task.type.value.lower()} of {column.modality or 'images'}"
            + (f" into {', '.join(column.task.classes)}." if column.task.classes else ".")
            for name, column in tasks.items()
        ),
        "Answers are meant for images like those of the sites below, with the site or the task named. Other images "
        "should get no answer; the share that gets none is below where it was measured.",
    ]
    if model.reference:
        sentences.insert(0, "This model opens the data of all sites: an upper bound for comparison, not for use.")
    return CardSection("Intended use and limits", tuple(sentences))


def _data_section(model: ModelReport, results: Sequence[SiteResults]) -> CardSection:
    tested = {item.column.site: item for item in results}
    rows = tuple(_data_row(model, column, tested.get(column.site)) for column in _learned_columns(model))
    heads = ("site", "modality", "task", "training patients by class", "test patients", "test images")
    return CardSection("Data by site", (), CardTable(heads, rows))


def _data_row(model: ModelReport, column: SiteColumn, results: SiteResults | None) -> tuple[str, ...]:
    learned = [model.updates[row] for row in champion_lineage(model) if model.updates[row].site == column.site]
    counts = learned[-1].class_patients if learned else {}
    training = ", ".join(f"{name}: {MASKED if count is None else count}" for name, count in counts.items())
    patients = str(results.patients) if results and results.patients else NOT_MEASURED
    images = str(results.cases) if results and results.cases else NOT_MEASURED
    return (
        column.site,
        column.modality or "not stated",
        column.task.name,
        training or "not readable here",
        patients,
        images,
    )


def _score_section(results: Sequence[SiteResults]) -> CardSection:
    rows = [
        (item.column.site, name, *_cells(metric)) for item in results for name, metric in (*item.scores, *item.answers)
    ]
    return CardSection("Scores", (), CardTable(("site", "score", *_NUMBER_HEADS), tuple(rows)))


def _operating_section(results: Sequence[SiteResults]) -> CardSection:
    sentences = tuple(
        f"{item.column.site}: {item.point or 'no temperature and no threshold, too few held-out patients'}."
        for item in results
        if item.has_classes
    )
    rows = tuple((item.column.site, name, *_cells(metric)) for item in results for name, metric in item.two_class)
    heads = ("site", "at the stored threshold", *_NUMBER_HEADS)
    return CardSection("Operating points", sentences, CardTable(heads, rows))


def _class_section(results: Sequence[SiteResults]) -> CardSection:
    rows = tuple(
        (item.column.site, row.name, name, *_cells(metric))
        for item in results
        for row in item.classes
        for name, metric in (("recall", row.recall), ("precision", row.precision))
        if metric is not None
    )
    heads = ("site", "class", "measure", *_NUMBER_HEADS)
    return CardSection("Classes", (), CardTable(heads, rows))


def _calibration_section(results: Sequence[SiteResults]) -> CardSection:
    rows = tuple((item.column.site, name, *_cells(metric)) for item in results for name, metric in item.calibration)
    return CardSection("Calibration", (), CardTable(("site", "measure", *_NUMBER_HEADS), rows))


def _subgroup_section(results: Sequence[SiteResults]) -> CardSection:
    rows = tuple(
        (
            item.column.site,
            f"{group.attribute} {group.value}",
            str(group.patients),
            metric_label(name),
            *_cells(metric)[:2],
        )
        for item in results
        for table in item.subgroups
        for group in table.rows
        for name, metric in group.metrics.items()
    )
    heads = ("site", "subgroup", "patients", "score", "value", "95 % interval")
    return CardSection("Subgroups", (), CardTable(heads, rows))


def _decision_section(model: ModelReport) -> CardSection:
    rows = tuple((str(line.number), line.time, line.kind, line.subject, line.author, line.reason) for line in model.log)
    heads = ("log entry", "time (UTC)", "decision", "version", "by", "reason")
    return CardSection("Decisions and approvals", (), CardTable(heads, rows))


def _lineage_section(model: ModelReport) -> CardSection:
    rows = tuple(
        (str(row + 1), model.updates[row].site, model.updates[row].version, model.updates[row].snapshot or "none")
        for row in champion_lineage(model)
    )
    return CardSection("Lineage", (), CardTable(("update", "site", "version", "snapshot"), rows))


def _unknown_section(model: ModelReport, report: ReportData, results: Sequence[SiteResults]) -> CardSection:
    tested = {item.column.site for item in results}
    gaps = [
        f"{column.site}: this version was not evaluated there."
        for column in _learned_columns(model)
        if column.site not in tested
    ]
    for item in results:
        missing = [
            text
            for text, value in (
                ("operating point", item.point),
                ("calibration", item.calibration),
                ("subgroups", item.subgroups),
                ("share of images without an answer", any("abstained" in name for name, _ in item.answers)),
            )
            if not value
        ]
        if missing and item.has_classes:
            gaps.append(f"{item.column.site}: {', '.join(missing)}: not measured, or about too few patients.")
    gaps.append("Other hospitals, scanners and populations than those listed; other seeds of the training.")
    return CardSection("What is not known", (*gaps, *model.warnings, *report.warnings))


def _cells(metric: Metric) -> tuple[str, str, str, str]:
    interval = "none" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
    return f"{metric.value:.3f}", interval, str(metric.patients or "not counted"), str(metric.n)
