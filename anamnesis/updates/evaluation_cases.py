"""Test cases in memory, with their images, in the format of a version."""

from dataclasses import dataclass

from anamnesis.records import SiteRef, find_class_indices
from anamnesis.training import TensorSplit
from anamnesis.updates.case_sets import find_test_cases
from anamnesis.updates.model import LoadedModel


@dataclass(frozen=True, slots=True)
class EvaluationCases:
    """Cases in memory.

    Attributes:
        split: images and targets.
        class_indices: of their task.
        patients: [N], the pseudonym of the patient of each case.
    """

    split: TensorSplit
    class_indices: tuple[int, ...]
    patients: tuple[str, ...]


def read_test_cases(model: LoadedModel, site: SiteRef) -> EvaluationCases | None:
    """Returns a site's test set in the model's format, or none where the model does not know the task.

    Raises:
        RefusedError: the test set was frozen for another task, or for classes in another order.
    """
    if not model.description.knows(site.task):
        return None
    cases = find_test_cases(site)
    class_indices = find_class_indices(site.task, model.description.labels)
    return EvaluationCases(cases.read_tensors(model.description), class_indices, cases.patients)
