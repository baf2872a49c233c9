"""The verdict in words: the version in use, and the sites that it forgot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from anamnesis.evaluation.report.assemble import champion_lineage, lineage_matrix
from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData, UpdateRow
from anamnesis.records import Verdict

TOLERANCE = Decimal("0.05")
"""Largest loss that does not count as forgetting, where the gate sets no limit."""

CLASS_INCREMENTAL_LOSS_LIMIT = 0.2
"""Mean loss of class-incremental accuracy above which a model confuses the classes of different sites."""


@dataclass(frozen=True, slots=True)
class SiteLoss:
    """The loss on one earlier site.

    Attributes:
        site: its name.
        metric: its primary metric.
        best_score: its best score before the last update, along the lineage.
        current_score: its score after the last update.
        limit: the loss that the gate allows, or ``TOLERANCE``.
    """

    site: str
    metric: str
    best_score: Decimal
    current_score: Decimal
    limit: Decimal

    @property
    def loss(self) -> Decimal:
        """Best earlier score minus current score."""
        return self.best_score - self.current_score

    @property
    def is_forgotten(self) -> bool:
        """Whether the loss exceeds the limit."""
        return self.loss > self.limit


@dataclass(frozen=True, slots=True)
class ModelStatement:
    """A model's verdict.

    Attributes:
        status: ``kept``, ``mixed``, ``forgot``, or ``open`` where a score is missing.
        headline: a few words.
        details: sentences.
        losses: one per earlier site with scores.
    """

    status: str
    headline: str
    details: tuple[str, ...]
    losses: tuple[SiteLoss, ...]


def metric_label(metric: str) -> str:
    """Returns a metric's name for people: ``BalancedAccuracy`` becomes balanced accuracy; abbreviations stay."""
    return metric if metric.isupper() else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", metric).lower()


def model_label(model: ModelReport, report: ReportData) -> str:
    """Returns the shortest name that distinguishes the models of the report."""
    methods = [reported_model.method for reported_model in report.models]
    return model.method if len(set(methods)) == len(methods) > 1 else model.name


def site_losses(model: ModelReport) -> tuple[SiteLoss, ...]:
    """Returns the loss on each earlier site with scores."""
    matrix = lineage_matrix(model, PRIMARY)
    if matrix is None:
        return ()
    metrics = {column.site: metric_label(column.task.primary_metric) for column in model.columns}
    limits, last = _loss_limits(model), len(matrix.update_tasks) - 1
    pairs = [(site, matrix.best_score(site, last), matrix.final_score(site)) for site in matrix.old_tasks]
    return tuple(
        SiteLoss(
            site=site,
            metric=metrics[site],
            best_score=Decimal(str(best_score)),
            current_score=Decimal(str(current_score)),
            limit=limits.get(site, TOLERANCE),
        )
        for site, best_score, current_score in pairs
        if best_score is not None and current_score is not None
    )


def model_statement(model: ModelReport) -> ModelStatement:
    """Returns the verdict on one model."""
    matrix, measured_losses = lineage_matrix(model, PRIMARY), site_losses(model)
    old_sites = matrix.old_tasks if matrix is not None else ()
    forgotten_losses = [loss for loss in measured_losses if loss.is_forgotten]
    unmeasured_sites = [site for site in old_sites if site not in {loss.site for loss in measured_losses}]
    details = [_champion_sentence(model), *map(_loss_sentence, forgotten_losses)]
    if measured_losses and not forgotten_losses:
        details.append(_largest_loss_sentence(max(measured_losses, key=lambda loss: loss.loss)))
    if unmeasured_sites:
        details.append(f"Not measured on {_join_names(unmeasured_sites)}; forgetting there is unknown.")
    details += _class_incremental_sentences(model)
    status, headline = _status_and_headline(model, len(old_sites), len(forgotten_losses), len(unmeasured_sites))
    return ModelStatement(status, headline, tuple(details), measured_losses)


def report_summary(report: ReportData) -> str:
    """Returns the page's headline, without the upper bounds."""
    if len(report.models) == 1:
        statement = model_statement(report.models[0])
        return f"{statement.headline}. {statement.details[0]}"
    candidates = [model for model in report.models if not model.reference] or report.models
    parts = [f"{model_label(model, report)} {_lower_first(model_statement(model).headline)}" for model in candidates]
    return "; ".join(parts) + "."


def _status_and_headline(
    model: ModelReport, old_count: int, forgotten_count: int, unmeasured_count: int
) -> tuple[str, str]:
    if not old_count:
        return "open", "Has learned one site: nothing to forget yet" if champion_lineage(
            model
        ) else "Has learned nothing yet"
    if forgotten_count:
        return "forgot", f"Forgot {forgotten_count} of {old_count} earlier sites"
    if unmeasured_count:
        return "open", f"Was not measured on {unmeasured_count} of {old_count} earlier sites"
    if model.continual.get("ClassIncrementalAccuracy", {}).get("Forgetting", 0.0) > CLASS_INCREMENTAL_LOSS_LIMIT:
        return "mixed", "Kept each site's own task, but confuses the classes of different sites"
    return "kept", "Kept what it knew"


def _champion_sentence(model: ModelReport) -> str:
    promoted_count, update_count = sum(row.promoted for row in model.updates), len(model.updates)
    if not model.champion:
        return f"No version is in use: {promoted_count} of {update_count} updates were promoted."
    number = next(i for i, row in enumerate(model.updates, 1) if row.version == model.champion)
    site = model.updates[number - 1].site
    overruled_count = sum(row.promoted and _is_rejected(row) for row in model.updates)
    advice = (
        f", {overruled_count} of them although the gate said reject (the gate was advisory)" if overruled_count else ""
    )
    champion_text = f"version {short_digest(model.champion)}, made by update {number} ({site})"
    return f"In use: {champion_text}. {promoted_count} of {update_count} updates promoted{advice}."


def _is_rejected(row: UpdateRow) -> bool:
    return row.decision is not None and row.decision.verdict is Verdict.REJECT


def _class_incremental_sentences(model: ModelReport) -> list[str]:
    final = model.continual.get("ClassIncrementalAccuracy", {}).get("FinalAverage")
    if final is None or len(model.columns) < 2:
        return []
    return [f"Without the site's name, the model finds the right class in {final:.0%} of the cases on average."]


def _loss_limits(model: ModelReport) -> Mapping[str, Decimal]:
    """The limit of each site in the latest decision that names it."""
    decisions = [row.decision for row in model.updates if row.decision is not None]
    criteria = [criterion for decision in decisions for criterion in decision.criteria]
    return {
        criterion.site: criterion.limit
        for criterion in criteria
        if criterion.name == "forgetting" and criterion.limit is not None
    }


def _loss_sentence(loss: SiteLoss) -> str:
    scores = f"{loss.best_score:.2f} before, {loss.current_score:.2f} now"
    return f"{loss.site}: {loss.metric} {scores} (allowed loss {loss.limit:.2f})."


def _largest_loss_sentence(loss: SiteLoss) -> str:
    if round(loss.loss, 2) <= 0:
        return "No earlier site has lost anything."
    return f"Largest loss on an earlier site: {loss.loss:.2f} {loss.metric} ({loss.site}; allowed {loss.limit:.2f})."


def _join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]


def short_digest(digest: str | None) -> str:
    """Returns the first eight hex digits of a digest."""
    return (digest or "").removeprefix("sha256:")[:8]
