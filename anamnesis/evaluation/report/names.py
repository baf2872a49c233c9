"""Names for people: metrics, models, digests, lists."""

import re
from collections.abc import Sequence

from anamnesis.evaluation.report.data import ModelReport, ReportData
from anamnesis.records import metric_properties
from anamnesis.records.metric_names import IOU

_KEPT_NAMES = (IOU,)


def metric_label(metric: str) -> str:
    """Returns a metric's name: ``BalancedAccuracy`` becomes balanced accuracy, ``Recall/no`` recall of no."""
    name, _, suffix = metric.partition("/")
    label = name if name.isupper() or name in _KEPT_NAMES else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return f"{label} of {suffix}" if suffix else label


def metric_head(metric: str) -> str:
    """Returns a metric's name for the head of a table: ``surface distance (input pixels, lower is better)``."""
    properties = metric_properties(metric)
    notes = [properties.unit] if properties.unit else []
    notes += ["lower is better"] if properties.is_lower_better else []
    return f"{metric_label(metric)} ({', '.join(notes)})" if notes else metric_label(metric)


def unit_of(metric: str) -> str:
    """Returns the unit of a metric after a number: `` input pixels``; empty for a number without a unit."""
    unit = metric_properties(metric).unit if metric else ""
    return f" {unit}" if unit else ""


def class_name(label: str) -> str:
    """Returns the class of a label of the common label space, ``task/class``; another text as it is."""
    return label.partition("/")[2] or label


def model_label(model: ModelReport, report: ReportData) -> str:
    """Returns the shortest name that distinguishes the models of the report."""
    methods = [reported_model.method for reported_model in report.models]
    return model.method if len(set(methods)) == len(methods) > 1 else model.name


def short_digest(digest: str | None) -> str:
    """Returns the first eight hex digits of a digest."""
    return (digest or "").removeprefix("sha256:")[:8]


def join_names(names: Sequence[str]) -> str:
    """Returns a list as in a sentence: ``A, B and C``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def lower_first(text: str) -> str:
    """Returns a text with a small first letter."""
    return text[:1].lower() + text[1:]
