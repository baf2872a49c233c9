"""The criteria of a decision in plain sentences: what was measured, on how many patients, against which limit."""

from collections.abc import Iterable
from decimal import Decimal

from anamnesis.evaluation.report.names import join_names, metric_label, unit_of
from anamnesis.records import Criterion, CriterionResult, Decision, metric_properties

DROPS = ("forgetting", "recall_drop")
"""Criteria whose value is a loss against an earlier version."""
_PREFIXES = {
    "floor": "floor",
    "ceiling": "ceiling",
    "recall": "floor",
    "forgetting": "loss",
    "recall_drop": "loss",
    "saliency": "saliency maps",
}
_UNSETTLED = (CriterionResult.UNDECIDED, CriterionResult.MISSING)


def criterion_label(criterion: Criterion) -> str:
    """Returns what a criterion measures, for people: ``loss: recall of pneumonia``."""
    prefix, metric = _PREFIXES.get(criterion.name, ""), metric_label(criterion.metric)
    return ": ".join(filter(None, (prefix, metric))) or criterion.name.replace("_", " ")


def unsettled_and_failed(decision: Decision) -> tuple[Criterion, ...]:
    """Returns the criteria that keep a candidate from promotion, failed ones first."""
    failed = [line for line in decision.criteria if line.result is CriterionResult.FAILED]
    return (*failed, *(line for line in decision.criteria if line.result in _UNSETTLED))


def reason_sentences(decision: Decision) -> list[str]:
    """Returns why a candidate was not promoted, one sentence a criterion; the decision's own reason where none."""
    sentences = [
        ("Not settled: " if line.result is CriterionResult.UNDECIDED and line.reason else "") + criterion_sentence(line)
        for line in unsettled_and_failed(decision)
    ]
    return list(dict.fromkeys(sentences)) or [_as_sentence(decision.reason)]


def criterion_sentence(criterion: Criterion) -> str:
    """Returns the result of a criterion as a sentence: the gate's reason, else its numbers, with site and patients."""
    if criterion.reason:
        reason = criterion.reason.replace(criterion.metric, metric_label(criterion.metric)) if criterion.metric else ""
        is_missing = criterion.result is CriterionResult.MISSING
        return _as_sentence(("not evaluated yet: " if is_missing else "") + (reason or criterion.reason))
    if criterion.result is CriterionResult.MISSING:
        return f"{criterion.site}: {criterion_label(criterion)} is not evaluated yet."
    sentence = _drop_sentence(criterion) if criterion.name in DROPS else _limit_sentence(criterion)
    return f"{criterion.site}: {sentence}"


def retention_sentences(criteria: Iterable[Criterion]) -> list[str]:
    """Returns, for earlier sites without a loss beyond their margins, the largest loss that was seen and excluded."""
    by_site: dict[str, list[Criterion]] = {}
    for line in criteria:
        by_site.setdefault(line.site, []).append(line)
    return [_retention_sentence(site, lines) for site, lines in by_site.items()]


def _retention_sentence(site: str, lines: list[Criterion]) -> str:
    measured = [line for line in lines if line.value is not None]
    if not measured:
        return f"{site}: no score was measured."
    worst = max(measured, key=lambda line: line.value or Decimal(0))
    assert worst.value is not None
    unit = unit_of(worst.metric)
    measured_drop = (
        f"no loss was measured ({join_names(list(dict.fromkeys(metric_label(line.metric) for line in measured)))})"
        if worst.value <= 0
        else f"the largest measured loss is {_number(worst.value)}{unit} ({metric_label(worst.metric)})"
    )
    ends = [line.high for line in measured if line.high is not None]
    bound = f"; a loss above {_number(max(ends))}{unit} is excluded" if ends else ""
    return f"{site}: {measured_drop}{_on_patients(worst)}{bound}; allowed {_limit(worst)}."


def _drop_sentence(criterion: Criterion) -> str:
    metric, value = metric_label(criterion.metric) or "the score", criterion.value
    verb = "rose" if criterion.metric and metric_properties(criterion.metric).is_lower_better else "fell"
    if criterion.result is CriterionResult.FAILED and value is not None:
        measured = f"{_number(value)}{_interval(criterion)}{_on_patients(criterion)}"
        return f"{metric} {verb} by {measured}; allowed {_limit(criterion)}."
    measured = "" if value is None else f"; measured {_number(value)}{_interval(criterion)}{_on_patients(criterion)}"
    smallest = criterion.detectable
    excluded = "" if smallest is None else f". A loss below {_number(smallest)} could not be excluded"
    return f"it is not settled whether {metric} {verb} by more than {_limit(criterion)}{measured}{excluded}."


def _limit_sentence(criterion: Criterion) -> str:
    label = metric_label(criterion.metric) if criterion.metric else criterion_label(criterion)
    if criterion.value is None or criterion.limit is None:
        verdict = "failed" if criterion.result is CriterionResult.FAILED else "is not settled"
        return f"{label} {verdict}."
    measured = f"{_number(criterion.value)}{_interval(criterion)}{_on_patients(criterion)}"
    side = "above" if criterion.is_limit_highest else "below"
    if criterion.result is CriterionResult.FAILED:
        return f"{label} is {measured}, {side} the limit {_limit(criterion)}."
    return f"it is not settled whether {label} is {side} the limit {_limit(criterion)}; measured {measured}."


def _interval(criterion: Criterion) -> str:
    if criterion.low is None and criterion.high is None:
        return ""
    if criterion.low is None or criterion.high is None:
        return (
            f" (at most {_number(criterion.high)})"
            if criterion.high is not None
            else f" (at least {_number(criterion.low)})"
        )
    return f" ({_number(criterion.low)} to {_number(criterion.high)})"


def _on_patients(criterion: Criterion) -> str:
    return f" on {criterion.patients} patients" if criterion.patients else ""


def _limit(criterion: Criterion) -> str:
    return "nothing" if criterion.limit is None else f"{_number(criterion.limit)}{unit_of(criterion.metric)}"


def _number(value: Decimal | None) -> str:
    return "" if value is None else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) or not text else ".")
