"""A model's answers on some test images, and their maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.evaluation.saliency import AnswerMaps, explain_classes, join_maps
from anamnesis.records import SiteRef
from anamnesis.training import TensorSplit, precision_for
from anamnesis.training.split_arrays.rows import predicted_at_once
from anamnesis.updates.answers import CaseAnswers, CaseOutputs, answer, compute_logits
from anamnesis.updates.model import LoadedModel

PROBE_COUNT = 64


@dataclass(frozen=True, slots=True)
class Probes:
    """Test images whose answers are explained.

    Attributes:
        inputs: modality -> [N, C, H, W] float32.
        targets: [N] column of the true class.
        task_classes: the columns of the site's task.
        sample_ids: [N].
        patients: [N].
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    task_classes: tuple[int, ...]
    sample_ids: tuple[str, ...]
    patients: tuple[str, ...]

    @property
    def images(self) -> Tensor:
        """The first input."""
        return next(iter(self.inputs.values()))


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers among the classes of a task.

    Attributes:
        class_indices: [N] column of the answered class.
        confidences: [N] its probability.
    """

    class_indices: Tensor
    confidences: Tensor


def select_probes(split: TensorSplit, patients: Sequence[str], task_classes: tuple[int, ...]) -> Probes:
    """Returns up to ``PROBE_COUNT`` cases: one image of each patient, then second ones; by sample id within these.

    Args:
        split: N cases.
        patients: [N], the pseudonym of the patient of each case.
        task_classes: the columns of the cases' task.
    """
    images_of_patient: dict[str, int] = {}
    order = []
    for row in sorted(range(len(split.sample_ids)), key=lambda row: split.sample_ids[row]):
        patient = patients[row]
        order.append((images_of_patient.setdefault(patient, 0), row))
        images_of_patient[patient] += 1
    rows = [row for _, row in sorted(order, key=lambda item: item[0])[:PROBE_COUNT]]
    return Probes(
        inputs={name: images[rows].float() for name, images in split.inputs.items()},
        targets=split.classes[rows],
        task_classes=task_classes,
        sample_ids=tuple(split.sample_ids[row] for row in rows),
        patients=tuple(patients[row] for row in rows),
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
        self.reference = site
        self.points = model.operating_points if site.name in learned_sites else {}

    def answer(self, inputs: Mapping[str, Tensor]) -> Answers:
        """Returns the answers to the images [N, C, H, W] of each modality."""
        answers = self._answer_cases(inputs)
        confidences = answers.probabilities.gather(1, answers.columns[:, None])[:, 0]
        return Answers(answers.columns, confidences)

    def probabilities(self, images: Tensor) -> Tensor:
        """Returns probabilities [N, K] of images [N, C, H, W] of the site's first modality, 0 outside its task."""
        return self._answer_cases({self.reference.modalities[0]: images}).probabilities

    def explain(self, probes: Probes, class_indices: Tensor) -> AnswerMaps | None:
        """Returns the maps of a class for each image.

        There are none where the method has none, and where an answer is not that of one image: a mean over windows of
        a volume, or an answer to several modalities.
        """
        if self.model.description.configuration.network.patches or len(probes.inputs) > 1:
            return None
        with self.precision.deterministic_mode(), self.precision.autocast():
            size = predicted_at_once(probes.images)
            parts = [
                explain_classes(
                    self.model.method, images.to(self.precision.device), columns, task_classes=probes.task_classes
                )
                for images, columns in zip(
                    torch.split(probes.images, size), torch.split(class_indices, size), strict=True
                )
            ]
        maps = [part for part in parts if part]
        return join_maps(maps) if maps else None

    def _answer_cases(self, inputs: Mapping[str, Tensor]) -> CaseAnswers:
        # The site is known, so its statistics are not needed: they would take longer than the network.
        sites = len(self.model.site_features.sites)
        logits = compute_logits(self.model, inputs, self.reference)
        unknown = torch.zeros(len(logits), sites)
        outputs = CaseOutputs(logits, unknown, unknown)
        return answer(self.model, outputs, self.points, (self.site,))
