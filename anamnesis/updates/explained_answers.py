"""A model's answers on some test images, and their maps."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from anamnesis.evaluation.saliency import AnswerMaps, explain_classes
from anamnesis.methods import PredictionRequest
from anamnesis.records import InputError
from anamnesis.training import precision_for
from anamnesis.updates.frozen_evaluation import EvaluationCases
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
    """Answers and maps of one model, on its device."""

    def __init__(self, model: LoadedModel) -> None:
        self.method = model.method
        self.precision = precision_for(model.description.configuration)
        self.precision.move_to_device(self.method.network)

    def answer(self, probes: Probes) -> Answers:
        """Returns the model's answers among the classes of the site's task."""
        probabilities = self.probabilities_of(probes)(probes.images)
        confidences, class_indices = probabilities.max(1)
        return Answers(class_indices, confidences)

    def probabilities_of(self, probes: Probes) -> Callable[[Tensor], Tensor]:
        """Returns the function from images to probabilities [N, K], 0 outside the classes of the site's task."""
        request = PredictionRequest(probes.task_classes)

        def probabilities(images: Tensor) -> Tensor:
            with self.precision.deterministic_mode(), self.precision.autocast():
                logits = self.method.predict(images.to(self.precision.device), request).logits
            if logits is None:
                raise InputError(
                    f"method {self.method.name!r} returned no class scores for a classification task: this is a fault "
                    "of the method; choose another method, and report the fault with the log"
                )
            return logits.float().softmax(1).cpu()

        return probabilities

    def explain(self, probes: Probes, class_indices: Tensor) -> AnswerMaps | None:
        """Returns the maps of a class for each image, or none where the method has none."""
        with self.precision.deterministic_mode(), self.precision.autocast():
            images = probes.images.to(self.precision.device)
            return explain_classes(self.method, images, class_indices, probes.task_classes)
