"""The rows of a sequence: means over runs, and their spread."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from benchmarks.sites224.choices import FamilyChoices
from benchmarks.sites224.claims import ENERGY, RETENTION, site_scores
from benchmarks.sites224.families import FAMILIES, run_settings
from benchmarks.sites224.result import AnswerResult, SequenceRun
from benchmarks.sites224.second_answer import CLOSED_FORM, HEAD, OWN, PROTOTYPES

RunsByRow = Mapping[tuple[str, str], Sequence[SequenceRun]]
ANSWERS = (PROTOTYPES, CLOSED_FORM, HEAD, OWN)


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over runs and its standard deviation; none with a single run."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        """Returns that of the values that were measured; none without any."""
        measured_values = [value for value in values if value is not None]
        return (
            cls(mean(measured_values), stdev(measured_values) if len(measured_values) > 1 else None)
            if measured_values
            else None
        )


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """An answer of a family on a sequence.

    Attributes:
        family: name of the row's settings.
        answer: which classifier answers.
        runs: their number.
        class_accuracy: where all classes compete.
        site_accuracy: share of images whose winner among all classes is one of the site's.
        accuracy: where the site's own classes compete.
        by_site: the latter, of each site, mean over the runs.
        forgetting: mean over the earlier sites.
        retention: of faithful maps.
        energy: in the contour, after the last update.
        seconds: of learning all sites.
        bytes: of the state after the last site.
    """

    family: str
    answer: str
    runs: int
    class_accuracy: Spread | None
    site_accuracy: Spread | None
    accuracy: Spread | None
    by_site: Mapping[str, float]
    forgetting: Spread | None
    retention: Spread | None
    energy: Spread | None
    seconds: Spread | None
    bytes: Spread | None


def group_runs(results: Sequence[SequenceRun], choices: FamilyChoices) -> RunsByRow:
    """Returns the runs of the chosen settings, by sequence and family; those of other settings are left out."""
    planned = {
        setting.key for name, choice in choices.families.items() for setting in run_settings(name, choice.chosen)
    }
    groups: dict[tuple[str, str], list[SequenceRun]] = defaultdict(list)
    for result in sorted(results, key=lambda item: (item.setting.seed, item.setting.order)):
        if result.setting.key in planned:
            groups[result.setting.sequence, result.setting.family].append(result)
    return groups


def lines_of(runs_by_row: RunsByRow, sequence: str) -> list[AnswerLine]:
    """Returns a line for each answer of each family with runs, the families in their order."""
    lines = []
    for family in FAMILIES:
        runs = runs_by_row.get((sequence, family), ())
        lines += [_line(family, name, runs) for name in ANSWERS if runs and name in runs[0].answers]
    return lines


def _line(family: str, name: str, runs: Sequence[SequenceRun]) -> AnswerLine:
    answers = [run.answers[name] for run in runs]

    def spread(value: Callable[[AnswerResult], float | None]) -> Spread | None:
        return Spread.of([value(answer) for answer in answers])

    is_main = name in (PROTOTYPES, OWN) or PROTOTYPES not in runs[0].answers
    return AnswerLine(
        family=family,
        answer=name,
        runs=len(runs),
        class_accuracy=spread(lambda answer: answer.class_accuracy),
        site_accuracy=spread(lambda answer: answer.site_accuracy),
        accuracy=spread(lambda answer: answer.accuracy),
        by_site=_by_site(runs, answers),
        forgetting=spread(lambda answer: answer.forgetting),
        retention=_measure(runs, RETENTION) if is_main and any(answer.iou for answer in answers) else None,
        energy=_measure(runs, ENERGY) if is_main else None,
        seconds=Spread.of([sum(run.seconds) for run in runs]),
        bytes=Spread.of([float(run.state_bytes[-1]) for run in runs]),
    )


def _by_site(runs: Sequence[SequenceRun], answers: Sequence[AnswerResult]) -> dict[str, float]:
    scores: dict[str, list[float]] = defaultdict(list)
    for run, answer in zip(runs, answers, strict=True):
        for site, score in zip(run.sites, answer.task_incremental[-1], strict=True):
            if score is not None:
                scores[site].append(score)
    return {site: mean(values) for site, values in scores.items()}


def _measure(runs: Sequence[SequenceRun], measure: str) -> Spread | None:
    """Returns a measure of claims over runs, without resampling."""
    import numpy as np

    sites = site_scores(runs, measure)
    if not sites:
        return None
    values = np.array([site.means(np.ones((1, site.patient_count)))[0] for site in sites.values()])
    return Spread.of(np.nanmean(values, axis=0).tolist())
