"""What an approver reads about a candidate: its scores beside those of its base, and the gate's criteria."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.scores import NonNegativeInt, Score
from anamnesis.operator.api.string_types import Digest, Name, PathSafeName, Sentence
from anamnesis.operator.api.value_types import DecimalString, InOrder
from anamnesis.records import digest_json

ShortText = Annotated[str, StringConstraints(max_length=128)]
MAXIMUM_RECALLS = 32
"""Classes of one task in a report: those that lost most. The report of 64 tasks fits into a ConfigMap."""
MAXIMUM_CRITERIA = 256
"""Criteria in a report, for the same reason."""


class ClassRecall(StatusModel):
    """The recall of one class before and after the update."""

    label: PathSafeName
    """Name of the class."""
    before: Score | None = None
    """Recall of the base version. If omitted, it was not measured."""
    after: Score | None = None
    """Recall of the candidate. If omitted, it was not measured."""


class TaskComparison(StatusModel):
    """The scores of the candidate and of its base on one frozen test set."""

    site: Name
    """Name of the Site of the test set."""
    task: PathSafeName
    """Name of the task."""
    metric: PathSafeName
    """The primary metric."""
    test_set: Digest
    """Digest of the test set."""
    role: Literal["Earlier", "New"]
    """New: the base version has not learned this Site. Earlier: it has, so the candidate may have forgotten it."""
    patients: NonNegativeInt = 0
    """Number of patients in the test set; 0 where it was not counted or is below 10."""
    before: Score | None = None
    """Score of the base version. If omitted, it was not measured."""
    after: Score | None = None
    """Score of the candidate. If omitted, it was not measured."""
    first_score: DecimalString | None = None
    """Score of the first accepted version that learned the Site, on the same patients."""
    forgetting: DecimalString | None = None
    """How much worse the candidate scores than the first accepted version; below 0, it is better."""
    recalls: Annotated[tuple[ClassRecall, ...], Field(max_length=MAXIMUM_RECALLS), InOrder] = ()
    """Recall of the classes, in the order of the task; of many classes, those that lost most."""
    classes_without_recall: NonNegativeInt = 0
    """Number of classes whose recall is not listed: too few patients, or not among those that lost most."""
    detail: Literal["Full", "Rounded", "Hidden"] = "Full"
    """Rounded: a class has fewer than 10 patients. Hidden: the test set has; then no score is shown."""


class CriterionLine(StatusModel):
    """One criterion of the gate on one test set."""

    name: Literal["floor", "ceiling", "recall", "forgetting", "recall_drop", "saliency", "calibration", "site_inferred"]
    """The criterion."""
    site: Name
    """Name of the Site of the test set."""
    task: PathSafeName
    """Name of the task."""
    value: DecimalString | None = None
    """The measured value. If omitted, it is missing or not shown."""
    limit: DecimalString | None = None
    """The lowest value that passes, or the highest of a ceiling, a loss or an error. If omitted, none is declared."""
    result: Literal["Passed", "Failed", "Undecided", "Missing", "NotApplicable"]
    """Undecided: the patients are too few to say. NotApplicable: shown, and not judged."""
    metric: ShortText = ""
    """Name of the measured metric."""
    reference: Digest | None = None
    """For a drop: digest of the version that the candidate is compared with."""
    low: DecimalString | None = None
    """Lower end of the interval that was compared with the limit."""
    high: DecimalString | None = None
    """Upper end of the interval that was compared with the limit."""
    patients: NonNegativeInt = 0
    """Number of test patients behind the value; 0 where it was not counted or is below 10."""
    detectable: DecimalString | None = None
    """For a drop: the smallest drop that so many patients could have excluded."""
    reason: Sentence = ""
    """Why it did not pass."""


class CandidateReport(StatusModel):
    """Numbers about a candidate for the person who decides; numbers about fewer than 10 patients are left out."""

    version: Digest
    """Digest of the candidate."""
    base: Digest | None = None
    """Digest of the version that the candidate was trained from."""
    tasks: Annotated[tuple[TaskComparison, ...], Field(max_length=128), InOrder] = ()
    """Scores before and after, one for each test set that judges the candidate."""
    criteria: Annotated[tuple[CriterionLine, ...], Field(max_length=MAXIMUM_CRITERIA), InOrder] = ()
    """Criteria of the gate, each with its result; of many, those that did not pass first."""
    criteria_not_listed: NonNegativeInt = 0
    """Number of further criteria."""

    def document(self) -> dict[str, object]:
        """Returns the report as JSON, as the status and the ConfigMap hold it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def lacks_scores(self) -> bool:
        """Whether a criterion of the gate is not measured yet."""
        return any(criterion.result == "Missing" for criterion in self.criteria)

    @property
    def digest(self) -> str:
        """Digest of the report: an UpdateApproval names the report that its author read."""
        return digest_json(self.document())
