"""The protocol between evaluations and the evaluator of a type of task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from anamnesis.records import EvaluationDetails, Metric, OperatingPoint, PairedDifference
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.model import LoadedModel

if TYPE_CHECKING:  # an evaluated version asks the evaluator for predictions
    from anamnesis.updates.evaluated_version import EvaluatedVersion


class TaskEvaluator(Protocol):
    """Scores versions on tasks of one type; its metrics are in the registry of metrics (``records/metrics.py``)."""

    def predict(self, model: LoadedModel, cases: CaseSet) -> dict[str, Tensor]:
        """Returns everything that scores and differences read, each [N, ...]; it is kept in the site's own store.

        Raises:
            InputError: the method returned no output for the task.
        """

    def score(
        self, version: EvaluatedVersion, cases: CaseSet, points: Mapping[str, OperatingPoint]
    ) -> dict[str, Metric]:
        """Returns a version's scores on the cases of a task, by metric.

        Args:
            version: it knows the task.
            cases: of one site.
            points: site -> operating point; only a classification has some.
        """

    def compare(
        self, version: EvaluatedVersion, reference: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> tuple[PairedDifference, ...]:
        """Returns how much worse a version scores than a reference, each at its own operating point.

        Args:
            version: the version.
            reference: an earlier version that knows the task.
            cases: of the site's test set.
            point: operating point of the version at the site.
        """

    def describe(
        self, version: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> EvaluationDetails | None:
        """Returns tables and curves for reports, or none where the type of task has none."""

    def count_fewest_patients(self, cases: CaseSet) -> int:
        """Returns the number of patients who decide: those of the smallest class, or all where there are no classes.

        A number below ``MINIMUM_CELL_PATIENTS`` is returned as the number just below it.
        """
