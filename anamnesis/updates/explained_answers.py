"""A model's answers on some test images, and their maps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.evaluation.saliency import AnswerMaps, explain_classes
from anamnesis.records import SiteRef
from anamnesis.training import precision_for
from anamnesis.updates.answers import CaseAnswers, CaseOutputs, answer, compute_logits
from anamnesis.updates.evaluation_cases import EvaluationCases
from anamnesis.updates.model import LoadedModel

PROBE_COUNT = 64


@dataclass(frozen=True, slots=True)
class Probes:
    """Test images whose answers are explained.

    Attributes:
        images: [N, C, H, W] float32.
        targets: [N] column of the true class.
        task_classes: the columns of the site's task.
        sample_ids: [N].
        patients: [N].
    """

    images: Tensor
    targets: Tensor
    task_classes: tuple[int, ...]
    sample_ids: tuple[str, ...]
    patients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers among the classes of a task.

    Attributes:
        class_indices: [N] column of the answered class.
        confidences: [N] its probability.
    """

    class_indices: Tensor
    confidences: Tensor


def select_probes(cases: EvaluationCases) -> Probes:
    """Returns up to ``PROBE_COUNT`` cases: one image of each patient, then second ones; by sample id within these."""
    images_of_patient: dict[str, int] = {}
    order = []
    for row in sorted(range(len(cases.split.sample_ids)), key=lambda row: cases.split.sample_ids[row]):
        patient = cases.patients[row]
        order.append((images_of_patient.setdefault(patient, 0), row))
        images_of_patient[patient] += 1
    rows = [row for _, row in sorted(order, key=lambda item: item[0])[:PROBE_COUNT]]
    return Probes(
        images=cases.split.images[rows].float(),
        targets=cases.split.targets[rows],
        task_classes=cases.class_indices,
        sample_ids=tuple(cases.split.sample_ids[row] for row in rows),
        patients=tuple(cases.patients[row] for row in rows),
    )


class ModelExplainer:
    """Answers and maps of one model at a site, on its device.

    The answers are those that a user gets who names the site: by the temperature and the threshold that were stored
    when the model learned it. At a site that it has not learned, but whose task it knows, the best score answers.
    """

    def __init__(self, model: LoadedModel, site: SiteRef) -> None:
        self.model = model
        self.precision = precision_for(model.description.configuration)
        learned_sites = [visit.site for visit in model.description.visits if visit.task.name == site.task.name]
        self.site = site.name if site.name in learned_sites else learned_sites[0]
        self.points = model.operating_points if site.name in learned_sites else {}

    def answer(self, images: Tensor) -> Answers:
        """Returns the answers to images [N, C, H, W]."""
        answers = self._answer_cases(images)
        confidences = answers.probabilities.gather(1, answers.columns[:, None])[:, 0]
        return Answers(answers.columns, confidences)

    def probabilities(self, images: Tensor) -> Tensor:
        """Returns probabilities [N, K] of images [N, C, H, W], 0 outside the classes of the site's task."""
        return self._answer_cases(images).probabilities

    def explain(self, probes: Probes, class_indices: Tensor) -> AnswerMaps | None:
        """Returns the maps of a class for each image, or none where the method has none."""
        with self.precision.deterministic_mode(), self.precision.autocast():
            images = probes.images.to(self.precision.device)
            return explain_classes(self.model.method, images, class_indices, probes.task_classes)

    def _answer_cases(self, images: Tensor) -> CaseAnswers:
        # The site is known, so its statistics are not needed: they would take longer than the network.
        sites = len(self.model.site_features.sites)
        unknown = torch.zeros(len(images), sites)
        outputs = CaseOutputs(compute_logits(self.model, images), unknown, unknown)
        return answer(self.model, outputs, self.points, (self.site,))
