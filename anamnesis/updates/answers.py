"""From the outputs of a version to its answers: one way for predictions, evaluations and scheduled evaluations.

With a known site, the classes of its task compete: softmax(logits of these classes / temperature). Without,
p(class | x) = sum over sites p(site | x) p(class | task of the site, x), where all tasks have equal priors and share
theirs among their sites. p(site | x) comes from the sites' statistics in frozen features; a version in which a site has
none lets all classes compete. An image that is farther from its site than the stored limit gets no answer.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods import PredictionRequest
from anamnesis.methods.feature_cache import FeatureCache
from anamnesis.records import InputError, OperatingPoint, SiteRef, Task, TaskType, find_class_indices
from anamnesis.training import precision_for
from anamnesis.training.split_arrays.rows import Rows, batches_of, predicted_at_once
from anamnesis.training.split_arrays.stored_features import FeatureFolder, open_feature_cache
from anamnesis.updates.model import LoadedModel, VersionDescription
from anamnesis.updates.window_predictions import predict_logits


@dataclass(frozen=True, slots=True)
class CaseOutputs:
    """The outputs of a version for N images; S sites have statistics, in the order of ``model.site_features.sites``.

    Attributes:
        logits: [N, K], of the method, all classes.
        site_log_probs: [N, S], log p(site | x) with equal priors.
        distances: [N, S], to each site.
    """

    logits: Tensor
    site_log_probs: Tensor
    distances: Tensor

    def __getitem__(self, rows: Sequence[int]) -> "CaseOutputs":
        """Returns the outputs for some of the images."""
        index = torch.tensor(rows, dtype=torch.long)
        return CaseOutputs(self.logits[index], self.site_log_probs[index], self.distances[index])


@dataclass(frozen=True, slots=True)
class CaseAnswers:
    """The answers to N images.

    Attributes:
        probabilities: [N, K]; 0 for classes that do not compete.
        columns: [N], the class that is the answer: by the stored threshold where there is one, else the most probable.
        is_abstained: [N], whether the image gets no answer.
        can_abstain: [N], whether the site that the image is most like has statistics and a limit.
        sites: the sites that the images may be of.
        site_indices: [N], the one of ``sites`` that an image is most like, whose threshold and limit count; -1 where
            this is not known.
        is_calibrated: whether one task competes, and each of ``sites`` has a temperature.
        competing_columns: the classes of the sites' tasks.
    """

    probabilities: Tensor
    columns: Tensor
    is_abstained: Tensor
    can_abstain: Tensor
    sites: tuple[str, ...]
    site_indices: Tensor
    is_calibrated: bool
    competing_columns: tuple[int, ...]

    def site_of(self, row: int) -> str:
        """Returns the name of the site that an image is most like; empty where this is not known."""
        site_index = int(self.site_indices[row])
        return self.sites[site_index] if site_index >= 0 else ""


def join_outputs(outputs: Sequence[CaseOutputs]) -> CaseOutputs:
    """Returns the outputs of several batches as one."""
    return CaseOutputs(
        torch.cat([part.logits for part in outputs]),
        torch.cat([part.site_log_probs for part in outputs]),
        torch.cat([part.distances for part in outputs]),
    )


def compute_outputs(
    model: LoadedModel, inputs: Mapping[str, Rows], feature_folder: FeatureFolder | None = None
) -> CaseOutputs:
    """Returns the outputs of a version for the images of each modality, [N, C, H, W] in [0, 1].

    The method does not get the site: the outputs also say how well a site is inferred.

    Args:
        model: the version.
        inputs: modality -> images [N, C, H, W] in [0, 1].
        feature_folder: of the images, as ``TensorSplit`` has it.

    Raises:
        InputError: the method has no class scores.
    """
    precision, outputs = precision_for(model.description.configuration), []
    with open_feature_cache(feature_folder) as feature_cache:
        for batch in split_inputs(inputs, torch.device("cpu")):
            logits = compute_logits(model, batch, feature_cache=feature_cache)
            with precision.deterministic_mode():
                comparison = model.site_features.compare(
                    model.site_features.describe(next(iter(batch.values())), feature_cache)
                )
            outputs.append(CaseOutputs(logits, comparison.log_probs, comparison.distances))
    return join_outputs(outputs)


def compute_logits(
    model: LoadedModel,
    inputs: Mapping[str, Rows],
    site: SiteRef | None = None,
    feature_cache: FeatureCache | None = None,
) -> Tensor:
    """Returns the logits [N, K] of all classes.

    Args:
        model: the version.
        inputs: modality -> images [N, C, H, W] in [0, 1].
        site: of the images, where it is known.
        feature_cache: keeps features of the images that no training changes.

    Raises:
        InputError: the method has no class scores.
    """
    precision = precision_for(model.description.configuration)
    request = replace(prediction_request(inputs, site), feature_cache=feature_cache)
    precision.move_to_device(model.method.network)
    logits = []
    with precision.deterministic_mode(), precision.autocast():
        for chunk in split_inputs(inputs, precision.device):
            logits.append(predict_logits(model, chunk, request).cpu())
    return torch.cat(logits)


def split_inputs(inputs: Mapping[str, Rows], device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Yields the images of each modality on the device in float32, as many samples as are predicted at once."""
    size = predicted_at_once(*inputs.values())
    for chunks in zip(*(batches_of(images, size) for images in inputs.values()), strict=True):
        yield {name: chunk.to(device, torch.float32) for name, chunk in zip(inputs, chunks, strict=True)}


def prediction_request(inputs: Mapping[str, Rows], site: SiteRef | None = None) -> PredictionRequest:
    """Returns the request for the images of each modality, with site and task where they are known."""
    task_name, site_name = (site.task.name, site.name) if site else ("", "")
    return PredictionRequest(task=task_name, site=site_name, modalities=tuple(inputs))


def answer(
    model: LoadedModel, outputs: CaseOutputs, points: Mapping[str, OperatingPoint], sites: Sequence[str] = ()
) -> CaseAnswers:
    """Returns the answers to N images.

    Args:
        model: the version.
        outputs: of ``compute_outputs``.
        points: site -> operating point, of the champion's evaluations or of the version; a site may have none.
        sites: those that the images may be of; the classes of their tasks compete. Empty: all learned sites.

    Raises:
        InputError: the version has not learned a site, or its task is not a classification.
    """
    tasks = tasks_of_sites(model.description, sites)
    columns_of_sites = _columns_of_sites(model, tasks)
    competing_columns = tuple(sorted({column for columns in columns_of_sites.values() for column in columns}))
    probabilities = torch.zeros(outputs.logits.shape, dtype=torch.float64)
    is_abstained = torch.zeros(len(probabilities), dtype=torch.bool)
    can_abstain = torch.zeros_like(is_abstained)
    ratios = _distance_ratios(model, outputs, points, tuple(tasks))
    site_probs = _site_probabilities(model, outputs, tasks)
    if site_probs is None:
        probabilities[:, competing_columns] = outputs.logits[:, competing_columns].double().softmax(1)
        site_indices = torch.full((len(probabilities),), -1)
    else:
        for row, (site, columns) in enumerate(columns_of_sites.items()):
            scores = outputs.logits[:, columns].double() / _temperature(points, site)
            probabilities[:, columns] += site_probs[:, row, None] * scores.softmax(1)
        site_indices = site_probs.argmax(1)
        own_ratios = ratios.gather(1, site_indices[:, None])[:, 0]
        is_abstained, can_abstain = own_ratios > 1, ~own_ratios.isnan()
    return CaseAnswers(
        probabilities,
        _decide(probabilities, site_indices, columns_of_sites, points),
        is_abstained,
        can_abstain,
        sites=tuple(tasks),
        site_indices=site_indices,
        is_calibrated=len(set(tasks.values())) == 1 and all(site in points for site in tasks),
        competing_columns=competing_columns,
    )


def join_images(
    model: LoadedModel, answers: CaseAnswers, points: Mapping[str, OperatingPoint], studies: Tensor
) -> CaseAnswers:
    """Returns one answer for each of M studies.

    The probabilities of its images are averaged. Its site is that of most of its images. It is abstained where more
    than half of its images are, and can be where each has a site with a limit.

    Args:
        model: the version.
        answers: to N images.
        points: site -> operating point.
        studies: [N], number of the study of each image, from 0; each has an image.
    """
    counts = torch.bincount(studies).double()
    empty = torch.zeros(len(counts), dtype=torch.float64)
    totals = empty.new_zeros(len(counts), answers.probabilities.shape[1]).index_add(0, studies, answers.probabilities)
    votes = functional.one_hot(answers.site_indices + 1, len(answers.sites) + 1).double()
    site_indices = empty.new_zeros(len(counts), votes.shape[1]).index_add(0, studies, votes).argmax(1) - 1
    abstained_shares = empty.index_add(0, studies, answers.is_abstained.double()) / counts
    limited_shares = empty.index_add(0, studies, answers.can_abstain.double()) / counts
    columns = _columns_of_sites(model, tasks_of_sites(model.description, answers.sites))
    probabilities = totals / counts[:, None]
    return replace(
        answers,
        probabilities=probabilities,
        columns=_decide(probabilities, site_indices, columns, points),
        is_abstained=abstained_shares > 0.5,
        can_abstain=(limited_shares == 1) | (abstained_shares > 0.5),
        site_indices=site_indices,
    )


def tasks_of_sites(description: VersionDescription, sites: Sequence[str] = ()) -> dict[str, Task]:
    """Returns site -> task of learned sites with a classification; of all where ``sites`` is empty.

    Raises:
        InputError: the version has not learned a site, or its task is not a classification.
    """
    learned = {visit.site: visit.task for visit in description.visits if visit.task.type is TaskType.CLASSIFICATION}
    if not learned:
        raise InputError("the version has no classification task; choose a version of a classification model")
    for site in sites:
        if site not in learned:
            raise InputError(
                f"site {site!r}: the version has learned no classification there; choose one of {', '.join(learned)}"
            )
    return {site: task for site, task in learned.items() if not sites or site in sites}


def _columns_of_sites(model: LoadedModel, tasks: Mapping[str, Task]) -> dict[str, list[int]]:
    return {site: list(find_class_indices(task, model.description.labels)) for site, task in tasks.items()}


def _site_probabilities(model: LoadedModel, outputs: CaseOutputs, tasks: Mapping[str, Task]) -> Tensor | None:
    """Returns p(site | x) [N, sites], or none where several tasks compete and a site has no statistics."""
    if len(tasks) == 1:
        return torch.ones(len(outputs.logits), 1, dtype=torch.float64)
    rows = [model.site_features.sites.index(site) for site in tasks if site in model.site_features.sites]
    if len(rows) < len(tasks):
        return None
    counts = Counter(task.name for task in tasks.values())
    log_priors = -torch.tensor([counts[task.name] for task in tasks.values()], dtype=torch.float64).log()
    return (outputs.site_log_probs[:, rows].double() + log_priors).softmax(1)


def _distance_ratios(
    model: LoadedModel, outputs: CaseOutputs, points: Mapping[str, OperatingPoint], sites: Sequence[str]
) -> Tensor:
    """Returns distance / limit, [N, sites]; NaN, which is never above 1, for a site without statistics or limit.

    The limit is that of the operating point, or the one of the site's training patients.
    """
    ratios = torch.full((len(outputs.logits), len(sites)), torch.nan, dtype=torch.float64)
    for row, site in enumerate(sites):
        if site not in model.site_features.sites:
            continue
        fitted = points[site].distance_limit if site in points else None
        limit = model.site_features.statistics[site].distance_limit if fitted is None else fitted
        if limit is not None:
            ratios[:, row] = outputs.distances[:, model.site_features.sites.index(site)].double() / float(limit)
    return ratios


def _temperature(points: Mapping[str, OperatingPoint], site: str) -> float:
    return float(points[site].temperature) if site in points else 1.0


def _decide(
    probabilities: Tensor,
    site_indices: Tensor,
    columns_of_sites: Mapping[str, list[int]],
    points: Mapping[str, OperatingPoint],
) -> Tensor:
    """Returns the class [N] that is the answer: within the task of the image's site, by the site's threshold."""
    answers = probabilities.argmax(1)
    for row, (site, columns) in enumerate(columns_of_sites.items()):
        scores = probabilities[:, columns]
        best = scores.argmax(1)
        threshold = points[site].threshold if site in points else None
        if threshold is not None and len(columns) == 2:
            best = (scores[:, 1] >= float(threshold) * scores.sum(1)).long()
        answers = torch.where(site_indices == row, torch.tensor(columns)[best], answers)
    return answers
