"""The verdict in words: the version in use, what was tested at earlier sites, and why updates were not promoted."""

from dataclasses import dataclass
from decimal import Decimal

from anamnesis.evaluation.report.assemble import champion_lineage, lineage_matrix
from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData, UpdateRow
from anamnesis.evaluation.report.names import join_names, lower_first, metric_head, model_label, short_digest
from anamnesis.evaluation.report.reasons import (
    DROPS,
    criterion_sentence,
    reason_sentences,
    retention_sentences,
    unsettled_and_failed,
)
from anamnesis.records import Criterion, CriterionResult, MetricProperties, Verdict
from anamnesis.records.metric_names import CLASS_INCREMENTAL_ACCURACY

TOLERANCE = Decimal("0.05")
"""Largest measured loss that does not count as lost, as a share of the metric's range, where the gate tested none."""

CLASS_INCREMENTAL_LOSS_LIMIT = 0.2
"""Mean loss of class-incremental accuracy above which a model confuses the classes of different sites."""

_TESTED = (CriterionResult.PASSED, CriterionResult.FAILED, CriterionResult.UNDECIDED)


@dataclass(frozen=True, slots=True)
class SiteLoss:
    """The measured loss on one earlier site, without a test.

    Attributes:
        site: its name.
        metric: name of its metric, for people.
        best_score: its best score before the last update, along the lineage.
        current_score: its score after the last update.
        properties: unit and direction of the metric.
    """

    site: str
    metric: str
    best_score: Decimal
    current_score: Decimal
    properties: MetricProperties

    @property
    def loss(self) -> Decimal:
        """How much worse the current score is than the best earlier one."""
        return self.properties.loss(self.best_score, self.current_score)

    @property
    def is_lost(self) -> bool:
        """Whether the loss is above the tolerance."""
        return self.loss > TOLERANCE * self.properties.width


@dataclass(frozen=True, slots=True)
class UpdateReasons:
    """Why one update was not simply promoted: its number, its site, what came of it, and the sentences."""

    number: int
    site: str
    version: str
    outcome: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelStatement:
    """A model's verdict.

    Attributes:
        status: ``kept``, ``mixed``, ``forgot``, or ``open`` where something is not settled.
        headline: a few words.
        details: sentences.
        reasons: of updates that were rejected, that wait, or that were promoted against a criterion.
        tests: the criteria on losses of the version in use.
        losses: measured, one for each earlier site with scores.
    """

    status: str
    headline: str
    details: tuple[str, ...]
    reasons: tuple[UpdateReasons, ...]
    tests: tuple[Criterion, ...]
    losses: tuple[SiteLoss, ...]


def site_losses(model: ModelReport, metric: str = PRIMARY) -> tuple[SiteLoss, ...]:
    """Returns the measured loss on each earlier site with scores."""
    matrix = lineage_matrix(model, metric)
    if matrix is None:
        return ()
    last = len(matrix.update_tasks) - 1
    pairs = [(site, matrix.best_score(site, last), matrix.final_score(site)) for site in matrix.old_tasks]
    return tuple(
        SiteLoss(
            site=site,
            metric=metric_head(matrix.metric(site).name),
            best_score=Decimal(str(best_score)),
            current_score=Decimal(str(current_score)),
            properties=matrix.metric(site),
        )
        for site, best_score, current_score in pairs
        if best_score is not None and current_score is not None
    )


def loss_tests(model: ModelReport) -> tuple[Criterion, ...]:
    """Returns the criteria on losses in the decision on the version in use (or on the last update)."""
    rows = champion_lineage(model)
    decision = model.updates[rows[-1]].decision if rows else None
    return tuple(line for line in decision.criteria if line.name in DROPS) if decision else ()


def model_statement(model: ModelReport) -> ModelStatement:
    """Returns the verdict on one model."""
    matrix, tests, losses = lineage_matrix(model, PRIMARY), loss_tests(model), site_losses(model)
    old_sites = matrix.old_tasks if matrix is not None else ()
    tested = {line.site for line in tests if line.result in _TESTED}
    untested = [site for site in old_sites if site not in tested]
    lost = {line.site for line in tests if line.result is CriterionResult.FAILED}
    lost |= {loss.site for loss in losses if loss.site in untested and loss.is_lost}
    undecided = {line.site for line in tests if line.result is CriterionResult.UNDECIDED} - lost
    open_sites = [site for site in old_sites if site in undecided or (site in untested and site not in lost)]
    failures = _failures_in_use(model)
    status, headline = _status_and_headline(model, len(old_sites), len(lost), len(open_sites))
    if failures and status != "forgot":
        count = "1 other criterion" if len(failures) == 1 else f"{len(failures)} other criteria"
        status, headline = "mixed", f"{headline}; it fails {count} of the gate"
    details = [
        *_waiting_sentences(model),
        _champion_sentence(model),
        *_test_sentences(tests),
        *failures,
        *_untested_sentences(untested, losses),
        *_class_incremental_sentences(model),
    ]
    return ModelStatement(status, headline, tuple(details), _update_reasons(model), tests, losses)


def _failures_in_use(model: ModelReport) -> list[str]:
    """Returns the criteria, other than losses, that the version in use (or the last update) fails, as sentences."""
    rows = champion_lineage(model)
    decision = model.updates[rows[-1]].decision if rows else None
    lines = decision.criteria if decision is not None else ()
    failed = [line for line in lines if line.result is CriterionResult.FAILED and line.name not in DROPS]
    return list(dict.fromkeys(map(criterion_sentence, failed)))


def report_summary(report: ReportData) -> str:
    """Returns the page's headline, without the upper bounds."""
    if len(report.models) == 1:
        statement = model_statement(report.models[0])
        return f"{statement.headline}. {statement.details[0]}"
    candidates = [model for model in report.models if not model.reference] or report.models
    parts = [f"{model_label(model, report)}: {lower_first(model_statement(model).headline)}" for model in candidates]
    return "; ".join(parts) + "."


def describe_outcome(row: UpdateRow, champion: str) -> str:
    """Returns what came of an update: in use, promoted, rejected, waits, superseded, or not judged."""
    if row.version == champion or row.promoted:
        outcome = "in use" if row.version == champion else "promoted"
        return f"{outcome}, although the gate said reject" if _is_rejected(row) else outcome
    if row.decision is None:
        return "not judged"
    return {
        Verdict.REJECT: "rejected",
        Verdict.AWAIT_APPROVAL: "undecided: awaits approval",
        Verdict.AWAIT_EVALUATIONS: "undecided: awaits evaluations",
        Verdict.SUPERSEDED: "superseded",
        Verdict.PROMOTE: "not promoted yet",
    }[row.decision.verdict]


def _status_and_headline(model: ModelReport, old_count: int, lost_count: int, open_count: int) -> tuple[str, str]:
    is_unused = all(row.decision is not None and not row.promoted for row in model.updates)
    if not model.champion and model.updates and is_unused:
        return "open", "No version is in use yet"
    if not old_count:
        is_empty = not champion_lineage(model)
        return "open", "Has learned nothing yet" if is_empty else "Has learned one site: nothing to forget yet"
    if lost_count:
        return "forgot", f"Lost more than allowed at {lost_count} of {_count_sites(old_count)}"
    if open_count:
        return "open", f"Not settled whether it lost something at {open_count} of {_count_sites(old_count)}"
    if model.continual.get(CLASS_INCREMENTAL_ACCURACY, {}).get("Forgetting", 0.0) > CLASS_INCREMENTAL_LOSS_LIMIT:
        return "mixed", "Kept each site's own task, but confuses the classes of different sites"
    return "kept", f"No loss beyond the margins was seen at {_count_sites(old_count)}"


def _count_sites(count: int) -> str:
    return "1 earlier site" if count == 1 else f"{count} earlier sites"


def _champion_sentence(model: ModelReport) -> str:
    promoted_count, update_count = sum(row.promoted for row in model.updates), len(model.updates)
    rejected = [f"update {i} ({row.site})" for i, row in enumerate(model.updates, 1) if row.is_rejected]
    rejected_text = f" Rejected: {join_names(rejected)}." if rejected else ""
    if not model.champion:
        return f"No version is in use: {promoted_count} of {update_count} updates were promoted.{rejected_text}"
    number = next(i for i, row in enumerate(model.updates, 1) if row.version == model.champion)
    site = model.updates[number - 1].site
    overruled_count = sum(row.promoted and _is_rejected(row) for row in model.updates)
    advice = (
        f", {overruled_count} of them although the gate said reject (the gate was advisory)" if overruled_count else ""
    )
    champion_text = f"version {short_digest(model.champion)}, made by update {number} ({site})"
    return f"In use: {champion_text}. {promoted_count} of {update_count} updates promoted{advice}.{rejected_text}"


def _waiting_sentences(model: ModelReport) -> list[str]:
    row = model.waiting
    if row is None or row.decision is None:
        return []
    number = model.updates.index(row) + 1
    return [f"Update {number} ({row.site}) waits: {lower_first(row.decision.reason.rstrip('.'))}."]


def _is_rejected(row: UpdateRow) -> bool:
    return row.decision is not None and row.decision.verdict is Verdict.REJECT


def _update_reasons(model: ModelReport) -> tuple[UpdateReasons, ...]:
    return tuple(
        UpdateReasons(
            number,
            row.site,
            row.version,
            describe_outcome(row, model.champion),
            tuple(reason_sentences(row.decision)),
        )
        for number, row in reversed(list(enumerate(model.updates, 1)))
        if row.decision is not None
        and (row.decision.verdict is not Verdict.PROMOTE or unsettled_and_failed(row.decision))
    )


def _test_sentences(tests: tuple[Criterion, ...]) -> list[str]:
    """Returns each loss and each open question in a sentence, then what is excluded at the other sites."""
    unsettled = (CriterionResult.FAILED, CriterionResult.UNDECIDED)
    sentences = [criterion_sentence(line) for result in unsettled for line in tests if line.result is result]
    open_sites = {line.site for line in tests if line.result in unsettled}
    passed = [line for line in tests if line.result is CriterionResult.PASSED and line.site not in open_sites]
    return list(dict.fromkeys([*sentences, *retention_sentences(passed)]))


def _untested_sentences(untested: list[str], losses: tuple[SiteLoss, ...]) -> list[str]:
    by_site = {loss.site: loss for loss in losses}
    unmeasured = [site for site in untested if site not in by_site]
    sentences = [
        f"{site}: {loss.metric} {loss.best_score:.3f} before, {loss.current_score:.3f} now; the gate tested no margin "
        "here, so a loss is neither shown nor excluded."
        for site in untested
        if (loss := by_site.get(site))
    ]
    if unmeasured:
        sentences.append(f"Not measured on {join_names(unmeasured)}; forgetting there is unknown.")
    return sentences


def _class_incremental_sentences(model: ModelReport) -> list[str]:
    values = model.continual.get(CLASS_INCREMENTAL_ACCURACY, {})
    final, lost = values.get("FinalAverage"), values.get("Forgetting")
    if final is None or len(model.columns) < 2:
        return []
    change = "" if lost is None else f" (forgetting {lost:.3f}".replace("-", "\N{MINUS SIGN}") + ")"
    return [f"Without the site's name, the model finds the right class in {final:.0%} of the cases on average{change}."]
