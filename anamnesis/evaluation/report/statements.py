"""The verdict in words: what is in use, and whether anything was forgotten."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from anamnesis.evaluation.report.assemble import lineage, matrix_of
from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData, UpdateRow
from anamnesis.records import Verdict

TOLERANCE = Decimal("0.05")
"""A smaller loss is not called forgetting, where the gate sets no limit of its own."""

OVERVIEW_LOSS = 0.2
"""Mean loss of class-incremental accuracy above which a model is said to know its answers only site by site."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of one earlier site.

    Attributes:
        site: which one.
        metric: its primary metric.
        best: its best score before the last update, along the lineage.
        now: its score now.
        limit: the loss that the gate allows, or ``TOLERANCE``.
    """

    site: str
    metric: str
    best: Decimal
    now: Decimal
    limit: Decimal

    @property
    def lost(self) -> Decimal:
        """Best score before minus score now."""
        return self.best - self.now

    @property
    def forgotten(self) -> bool:
        """Whether more was lost than the limit."""
        return self.lost > self.limit


@dataclass(frozen=True, slots=True)
class Statement:
    """A model's verdict.

    Attributes:
        status: ``kept``, ``mixed``, ``forgot`` or ``open``: the last where nothing could be judged.
        headline: a few words.
        details: sentences.
        losses: one per earlier site that was measured.
    """

    status: str
    headline: str
    details: tuple[str, ...]
    losses: tuple[Loss, ...]


def spoken(metric: str) -> str:
    """Returns a metric's name for people: ``BalancedAccuracy`` is balanced accuracy; abbreviations stay."""
    return metric if metric.isupper() else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", metric).lower()


def label(model: ModelReport, report: ReportData) -> str:
    """Returns the shortest name that tells the models of the report apart."""
    methods = [other.method for other in report.models]
    return model.method if len(set(methods)) == len(methods) > 1 else model.name


def losses(model: ModelReport) -> tuple[Loss, ...]:
    """Returns what became of every earlier site that was measured."""
    matrix = matrix_of(model, PRIMARY)
    if matrix is None:
        return ()
    metrics = {column.site: spoken(column.task.primary_metric) for column in model.columns}
    limits, last = _limits(model), len(matrix.learned) - 1
    pairs = [(site, matrix.best(site, last), matrix.final(site)) for site in matrix.old]
    return tuple(
        Loss(site, metrics[site], Decimal(str(best)), Decimal(str(now)), limits.get(site, TOLERANCE))
        for site, best, now in pairs
        if best is not None and now is not None
    )


def state(model: ModelReport) -> Statement:
    """Returns the verdict on one model."""
    matrix, judged = matrix_of(model, PRIMARY), losses(model)
    known = matrix.old if matrix is not None else ()
    forgotten = [loss for loss in judged if loss.forgotten]
    unmeasured = [site for site in known if site not in {loss.site for loss in judged}]
    details = [_in_use(model), *map(_fall, forgotten)]
    if judged and not forgotten:
        details.append(_largest(max(judged, key=lambda loss: loss.lost)))
    if unmeasured:
        details.append(f"Not measured on {_listed(unmeasured)}: nothing is said of them.")
    details += _overview(model)
    status, headline = _verdict(model, len(known), len(forgotten), len(unmeasured))
    return Statement(status, headline, tuple(details), judged)


def summary(report: ReportData) -> str:
    """Returns the page's headline; an upper bound is not in it."""
    if len(report.models) == 1:
        statement = state(report.models[0])
        return f"{statement.headline}. {statement.details[0]}"
    candidates = [model for model in report.models if not model.reference] or report.models
    parts = [f"{label(model, report)} {_lower(state(model).headline)}" for model in candidates]
    return "; ".join(parts) + "."


def _verdict(model: ModelReport, known: int, forgotten: int, unmeasured: int) -> tuple[str, str]:
    if not known:
        return "open", "Has learned one site: nothing to forget yet" if lineage(model) else "Has learned nothing yet"
    if forgotten:
        return "forgot", f"Forgot {forgotten} of {known} earlier sites"
    if unmeasured:
        return "open", f"Was not measured on {unmeasured} of {known} earlier sites"
    if model.continual.get("ClassIncrementalAccuracy", {}).get("Forgetting", 0.0) > OVERVIEW_LOSS:
        return "mixed", "Kept each site's own question, but not the overview"
    return "kept", "Kept what it knew"


def _in_use(model: ModelReport) -> str:
    promoted, total = sum(row.promoted for row in model.updates), len(model.updates)
    if not model.champion:
        return f"No version is in use: {promoted} of {total} updates were promoted."
    number = next(i for i, row in enumerate(model.updates, 1) if row.version == model.champion)
    site = model.updates[number - 1].site
    against = sum(row.promoted and _refused(row) for row in model.updates)
    advice = f", {against} of them although the gate said reject (its word was advice only)" if against else ""
    made = f"version {short(model.champion)}, made by update {number} ({site})"
    return f"In use: {made}. {promoted} of {total} updates promoted{advice}."


def _refused(row: UpdateRow) -> bool:
    return row.decision is not None and row.decision.verdict is Verdict.REJECT


def _overview(model: ModelReport) -> list[str]:
    final = model.continual.get("ClassIncrementalAccuracy", {}).get("FinalAverage")
    if final is None or len(model.columns) < 2:
        return []
    return [f"Without being told the site, it finds the right class of all in {final:.0%} of cases on average."]


def _limits(model: ModelReport) -> Mapping[str, Decimal]:
    """The limits of the latest decision that names a site."""
    decisions = [row.decision for row in model.updates if row.decision is not None]
    criteria = [criterion for decision in decisions for criterion in decision.criteria]
    return {criterion.site: criterion.limit for criterion in criteria if criterion.name == "forgetting"}


def _fall(loss: Loss) -> str:
    return f"{loss.site}: {loss.metric} {loss.best:.2f} before, {loss.now:.2f} now (allowed loss {loss.limit:.2f})."


def _largest(loss: Loss) -> str:
    if round(loss.lost, 2) <= 0:
        return "No earlier site has lost anything."
    return f"Largest loss on an earlier site: {loss.lost:.2f} {loss.metric} ({loss.site}; allowed {loss.limit:.2f})."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def short(digest: str | None) -> str:
    """Returns the first eight hex digits of a digest."""
    return (digest or "").removeprefix("sha256:")[:8]
